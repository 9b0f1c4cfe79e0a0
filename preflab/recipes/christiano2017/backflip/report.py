"""``report.html`` of the recipe ``christiano2017_backflip``, and its closing lines."""

from collections.abc import Mapping
from pathlib import Path

from preflab.recipes.christiano2017.backflip.config import SCALES
from preflab.recipes.christiano2017.backflip.results import LearningResult, TurnResult
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import number, with_interval
from preflab.reporting.html import metric_series
from preflab.reporting.plots import Frame, curve_plot
from preflab.reporting.report import Facts, Figure, Report, Section, Table, picture, read_facts, write_report_page
from preflab.reporting.run_files import read_results
from preflab.run import read_result

STAGES = {"before": "the untrained policy", "learn": "learning", "after": "the policy after learning"}


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every video; stages not run have none."""
    lines: list[Line] = []
    for stage, result in _turn_results(folder).items():
        note = f"an episode, backwards; {100 * result.share_of_a_turn_or_more:.0f} % of a whole turn or more"
        lines.append((f"turns {stage}", with_interval(result.turns, "+.2f"), note))
        lines.append((f"video {stage}", str(folder / result.video), ""))
    if (learning := read_result(folder, "learn", LearningResult)) is not None:
        counts = ", ".join(f"{n} {response}" for response, n in learning.labels.items() if n)
        lines.append(("labels", str(learning.labels_given), counts))
    return lines + closing_lines(folder, read_results(folder))


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    facts = read_facts(folder, "christiano2017_backflip", STAGES)
    turns, learning = _turn_results(folder), read_result(folder, "learn", LearningResult)
    return write_report_page(facts, STAGES, _report(facts, turns, learning), SCALES)


def _turn_results(folder: Path) -> dict[str, TurnResult]:
    """Before and after learning, as far as the run got."""
    results = {stage: read_result(folder, stage, TurnResult) for stage in ("before", "after")}
    return {stage: result for stage, result in results.items() if result is not None}


def _report(facts: Facts, turns: Mapping[str, TurnResult], learning: LearningResult | None) -> Report:
    summary = ["Learning has not finished yet, so there is nothing to tell."]
    if learning is not None and "after" in turns:
        before, after = (turns[stage].turns.value for stage in ("before", "after"))
        summary = [
            f"Turns backwards in an episode: {before:+.2f} before, {after:+.2f} after "
            f"{number(learning.labels_given)} labels."
        ]
    sections = [_turns(facts.folder, turns), _learning(facts, learning)]
    return Report(title="A backflip from comparisons", summary=summary, sections=sections, claims=False)


def _turns(folder: Path, results: Mapping[str, TurnResult]) -> Section:
    rows, videos = [], []
    for stage, result in results.items():
        turns = result.turns
        cells = [f"{turns.value:+.2f} [{turns.low:+.2f}, {turns.high:+.2f}]", f"{result.most_turns:+.2f}"]
        rows.append([stage, *cells, f"{100 * result.share_of_a_turn_or_more:.0f} %", f"{result.height:.2f}"])
        videos += picture(folder / result.video, f"{stage} learning: the median episode, at half speed")
    heads = ["", "Turns", "Most", "A whole turn or more", "Mean height, m"]
    text = ["Counted from the torso's pitch; backwards is positive. No reward of the simulator is used or shown."]
    table = Table(caption="Turns backwards in an episode [95 % interval over episodes]", heads=heads, rows=rows)
    return Section(anchor="turns", title="Backflips", text=text, tables=[table] if rows else [], pictures=videos)


def _learning(facts: Facts, learning: LearningResult | None) -> Section:
    steps = facts.metrics.get("learn", [])
    if not steps:
        return Section(anchor="learning", title="Learning")
    accuracy = Frame(name="right", title="Held-out labels", x_label="steps", y_label="share on the right side")
    height = Frame(name="height", title="Height", x_label="steps", y_label="torso, m")
    figures = [
        Figure(
            svg=curve_plot([metric_series("accuracy", steps, "held_out_accuracy")], accuracy),
            title="Accuracy of the predicted reward",
            caption="share of decided labels outside each member's bootstrap whose better clip it predicts.",
        ),
        Figure(
            svg=curve_plot([metric_series("height", steps, "height")], height),
            title="Height of the torso",
            caption="mean over steps and copies; it stands at 1.25 m and lies below 0.3 m.",
        ),
    ]
    tables = [] if learning is None else [_labels(learning)]
    return Section(anchor="learning", title="Learning", figures=figures, tables=tables)


def _labels(learning: LearningResult) -> Table:
    rows = [[response, number(n)] for response, n in learning.labels.items()]
    rows += [["labellers", ", ".join(learning.labellers)]]
    if learning.seconds_answering is not None:
        hours = learning.seconds_answering / 3600
        rows.append(["minutes answering", f"{60 * hours:.1f}"])
        rows.append(["labels an hour", number(learning.labels_given / hours)])
    return Table(caption="Labels", heads=["", ""], rows=rows)
