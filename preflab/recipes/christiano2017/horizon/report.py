"""``report.html`` of the recipe ``christiano2017_horizon``."""

from pathlib import Path

from preflab.reporting.format import in_unit
from preflab.reporting.plots import Frame, Series, curve_plot
from preflab.reporting.report import Facts, Figure, Report, Section, Table, read_facts, write_report_page

ARMS = {
    "varying": "+1 a step, a fall ends the episode",
    "fixed": "+1 a step, episodes of one length",
    "minus": "-1 a step, a fall ends the episode",
}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.christiano2017.horizon.config import SCALES  # here, because that imports this module

    seeds = int(read_facts(folder, "christiano2017_horizon", {}).config["seeds"])
    stages = {f"{arm}{seed}": f"{words}; seed {seed}" for seed in range(seeds) for arm, words in ARMS.items()}
    stages["compare"] = "comparison"
    facts = read_facts(folder, "christiano2017_horizon", stages)
    return write_report_page(facts, stages, _story(facts), SCALES)


def _story(facts: Facts) -> Report:
    title = "A constant reward, with and without fixed horizons"
    if "compare" not in facts.results:
        return Report(title=title, summary=["Not all agents are trained yet, so there is nothing to tell."])
    own = facts.results["compare"]
    lead = [
        "No label was given and no reward learned: every agent was paid the same for every step. Where a fall ended "
        f"the episode, that alone made it balance for {in_unit(own['trained']['varying'], 'steps')}; where all "
        f"episodes had one length, for {in_unit(own['trained']['fixed'], 'steps')}, against "
        f"{in_unit(own['untrained'], 'steps')} untrained."
    ]
    if all(verdict["outcome"] == "holds" for verdict in own["verdicts"]):
        lead.append("A result on a task whose episodes end early says little of the reward that was learned.")
    seeds = "Intervals are over seeds (Student's t), differences paired by seed."
    return Report(title=title, summary=lead, intervals=seeds, sections=[_curves(facts)])


def _curves(facts: Facts) -> Section:
    own = facts.results["compare"]
    series = [
        Series.from_estimates(words, own["steps"], own["curves"][arm], colour=k)
        for k, (arm, words) in enumerate(ARMS.items())
    ]
    frame = Frame(
        name="balanced",
        title="Steps until the pole falls",
        x_label="environment steps of training",
        y_label="steps",
        y_limits=(0.0, 1.05 * facts.config["horizon"]),
    )
    rows = [["untrained", in_unit(own["untrained"], "steps"), ""]]
    rows += [[words, in_unit(own["trained"][arm], "steps"), f"{own['falls'][arm]:,}"] for arm, words in ARMS.items()]
    how = (
        f"Means over {facts.config['seeds']} seeds with 95 % intervals. Every agent is measured in fresh episodes that "
        f"end with the fall, or after {facts.config['horizon']} steps."
    )
    return Section(
        anchor="balanced",
        title="How long the pole stands",
        figures=[Figure(svg=curve_plot(series, frame), title=frame.title, caption=how)],
        tables=[
            Table(caption="After training", heads=["Agent", "Steps until the fall", "Falls in training"], rows=rows)
        ],
    )
