"""``report.html`` of the recipe ``christiano2017_horizon``, and its closing lines."""

from pathlib import Path

from preflab.recipes.christiano2017.horizon.config import SCALES, Config
from preflab.recipes.christiano2017.horizon.results import Comparison
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import in_unit, with_interval
from preflab.reporting.plots import Frame, Series, curve_plot
from preflab.reporting.report import Figure, Report, Section, Table, read_facts, write_report_page
from preflab.reporting.run_files import read_results
from preflab.run import read_result

ARMS = {
    "varying": "+1 a step, a fall ends the episode",
    "fixed": "+1 a step, episodes of one length",
    "minus": "-1 a step, a fall ends the episode",
}


def summarise(folder: Path) -> list[Line]:
    """Steps until the fall of each agent, and how the claims came out."""
    lines: list[Line] = []
    if (comparison := read_result(folder, "compare", Comparison)) is not None:
        lines.append(("untrained", with_interval(comparison.untrained, ".2f"), "steps until the pole falls"))
        lines += [(arm, with_interval(comparison.trained[arm], ".2f"), label) for arm, label in ARMS.items()]
        lines.append(("claims", ", ".join(verdict.outcome for verdict in comparison.verdicts), ""))
    return lines + closing_lines(folder, read_results(folder))


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    config = read_facts(folder, "christiano2017_horizon", {}).settings(Config)
    stages = {f"{arm}{seed}": f"{label}; seed {seed}" for seed in range(config.seeds) for arm, label in ARMS.items()}
    stages["compare"] = "comparison"
    facts = read_facts(folder, "christiano2017_horizon", stages)
    comparison = read_result(folder, "compare", Comparison)
    return write_report_page(facts, stages, _report(config, comparison), SCALES)


def _report(config: Config, comparison: Comparison | None) -> Report:
    title = "A constant reward, with and without fixed horizons"
    if comparison is None:
        return Report(title=title, summary=["Not all agents are trained yet, so there is nothing to tell."])
    summary = [
        "No label was given and no reward learned: every agent was paid the same for every step. Where a fall ended "
        f"the episode, that alone made it balance for {in_unit(comparison.trained['varying'], 'steps')}; where all "
        f"episodes had one length, for {in_unit(comparison.trained['fixed'], 'steps')}, against "
        f"{in_unit(comparison.untrained, 'steps')} untrained."
    ]
    if all(verdict.outcome == "holds" for verdict in comparison.verdicts):
        summary.append("A result on a task whose episodes end early says little of the reward that was learned.")
    seeds = "Intervals are over seeds (Student's t), differences paired by seed."
    return Report(title=title, summary=summary, intervals=seeds, sections=[_curves(config, comparison)])


def _curves(config: Config, comparison: Comparison) -> Section:
    series = [
        Series.from_estimates(label, comparison.steps, comparison.curves[arm], colour=k)
        for k, (arm, label) in enumerate(ARMS.items())
    ]
    frame = Frame(
        name="balanced",
        title="Steps until the pole falls",
        x_label="environment steps of training",
        y_label="steps",
        y_limits=(0.0, 1.05 * config.horizon),
    )
    trained, falls = comparison.trained, comparison.falls
    rows = [["untrained", in_unit(comparison.untrained, "steps"), ""]]
    rows += [[label, in_unit(trained[arm], "steps"), f"{falls[arm]:,}"] for arm, label in ARMS.items()]
    caption = (
        f"Means over {config.seeds} seeds with 95 % intervals. Every agent is measured in fresh episodes that "
        f"end with the fall, or after {config.horizon} steps."
    )
    return Section(
        anchor="balanced",
        title="How long the pole stands",
        figures=[Figure(svg=curve_plot(series, frame), title=frame.title, caption=caption)],
        tables=[
            Table(caption="After training", heads=["Agent", "Steps until the fall", "Falls in training"], rows=rows)
        ],
    )
