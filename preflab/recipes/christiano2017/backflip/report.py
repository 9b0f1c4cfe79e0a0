"""``report.html`` of the recipe ``christiano2017_backflip``."""

from pathlib import Path

from preflab.reporting.format import number
from preflab.reporting.html import metric_series
from preflab.reporting.plots import Frame, curve_plot
from preflab.reporting.report import Facts, Figure, Report, Section, Table, picture, read_facts, write_report_page

STAGES = {"before": "the untrained policy", "learn": "learning", "after": "the policy after learning"}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.christiano2017.backflip.config import SCALES  # here, because the recipe imports this module

    facts = read_facts(folder, "christiano2017_backflip", STAGES)
    return write_report_page(facts, STAGES, _story(facts), SCALES)


def _story(facts: Facts) -> Report:
    r = facts.results
    lead = ["Learning has not finished yet, so there is nothing to tell."]
    if "after" in r:
        before, after = (r[when]["turns"].value for when in ("before", "after"))
        lead = [
            f"Turns backwards in an episode: {before:+.2f} before, {after:+.2f} after "
            f"{number(sum(r['learn']['labels'].values()))} labels."
        ]
    sections = [_turns(facts), _learning(facts)]
    return Report(title="A backflip from comparisons", summary=lead, sections=sections, claims=False)


def _turns(facts: Facts) -> Section:
    r, rows, films = facts.results, [], []
    for when in ("before", "after"):
        if when not in r:
            continue
        own, turns = r[when], r[when]["turns"]
        cells = [f"{turns.value:+.2f} [{turns.low:+.2f}, {turns.high:+.2f}]", f"{own['most']:+.2f}"]
        rows.append([when, *cells, f"{100 * own['share_of_a_turn_or_more']:.0f} %", f"{own['height']:.2f}"])
        films += picture(facts.folder / own["film"], f"{when} learning: the episode in the middle, at half speed")
    heads = ["", "Turns", "Most", "A whole turn or more", "Mean height, m"]
    text = ["Counted from the torso's pitch; backwards is positive. No reward of the simulator is used or shown."]
    table = Table(caption="Turns backwards in an episode [95 % interval over episodes]", heads=heads, rows=rows)
    return Section(anchor="turns", title="Backflips", text=text, tables=[table] if rows else [], pictures=films)


def _learning(facts: Facts) -> Section:
    steps = facts.metrics.get("learn", [])
    if not steps:
        return Section(anchor="learning", title="Learning")
    right = Frame(name="right", title="Held-out labels", x_label="steps", y_label="share on the right side")
    height = Frame(name="height", title="Height", x_label="steps", y_label="torso, m")
    figures = [
        Figure(
            svg=curve_plot([metric_series("accuracy", steps, "held_out_accuracy")], right),
            title="Accuracy of the predicted reward",
            caption="share of decided labels outside each member's bootstrap whose better clip it predicts.",
        ),
        Figure(
            svg=curve_plot([metric_series("height", steps, "height")], height),
            title="Height of the torso",
            caption="mean over steps and copies; it stands at 1.25 m and lies below 0.3 m.",
        ),
    ]
    tables = []
    if (own := facts.results.get("learn")) is not None:
        rows = [[response, number(n)] for response, n in own["labels"].items()]
        rows += [["labellers", ", ".join(own["labellers"])]]
        if own["seconds_answering"] is not None:
            hours = own["seconds_answering"] / 3600
            rows.append(["minutes answering", f"{60 * hours:.1f}"])
            rows.append(["labels an hour", number(sum(own["labels"].values()) / hours)])
        tables = [Table(caption="Labels", heads=["", ""], rows=rows)]
    return Section(anchor="learning", title="Learning", figures=figures, tables=tables)
