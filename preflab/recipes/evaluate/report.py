"""``report.html`` of the recipe ``evaluate``, and beside it a page for each suite with its requests and responses."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from preflab.evals.core.runner import MeasuredValue, SuiteSummary
from preflab.evals.suites import SUITES
from preflab.maths.statistics import Estimate
from preflab.recipes.evaluate.config import SCALES, Config
from preflab.recipes.evaluate.items import write_items_page
from preflab.recipes.evaluate.results import (
    AnyResult,
    HarnessResult,
    count_failed,
    headline,
    read_suite_results,
    skipped_suites,
)
from preflab.reporting.format import in_unit, number, sample
from preflab.reporting.plots import Frame, dot_plot
from preflab.reporting.report import Facts, Figure, Report, Section, Table, read_facts, write_report_page

RECIPE = "evaluate"
BETTER = {"higher": "higher is better", "lower": "lower is better", "zero": "nearer to 0 is better", "": ""}
MAX_ROWS = 60
"""Rows of a plot."""
ITEMS_PAGE = "Every item: what was asked, what was said, and what came of it"


def write_report(folder: Path) -> Path:
    """Write ``report.html`` and the pages of items into a run folder, from the suites that have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    results = read_suite_results(folder)
    stages = {name: result.title for name, result in results.items()}
    facts = read_facts(folder, RECIPE, stages)
    pages = {name: write_items_page(folder, name, result) for name, result in results.items()}
    return write_report_page(facts, stages, _report(facts, results, pages), SCALES)


def _report(facts: Facts, results: Mapping[str, AnyResult], pages: Mapping[str, Path | None]) -> Report:
    policy = facts.settings(Config).policy
    summary = [
        f"{len(results)} suites. Intervals are 95 % and resample whole groups (templates, prompts, passages). Items "
        "that could not be scored are counted and are neither right nor wrong."
    ]
    suites = [SUITES[result.suite] for result in results.values() if result.suite in SUITES]
    warnings = [("Read with care", f"{suite.title}: {suite.warning}") for suite in suites if suite.warning]
    if skipped := skipped_suites(facts.record):
        warnings.append(("Not measured", "; ".join(f"{name}: {reason}" for name, reason in skipped.items())))
    sections = [_overview(results.values())]
    sections += [_suite_section(name, result, pages.get(name)) for name, result in results.items()]
    return Report(
        title=f"How {policy} measures up", summary=summary, warnings=warnings, sections=sections, claims=False
    )


def _overview(results: Iterable[AnyResult]) -> Section:
    rows = []
    for result in results:
        measured = headline(result)
        if measured is not None:
            title, failed = f"{result.title} ({result.variant})", number(count_failed(result))
            rows.append([title, measured.name, *_cells(measured), failed])
    heads = ["Suite", "Measure", "Estimate [95 % interval]", "", "n (in groups)", "Could not be scored"]
    return Section(
        anchor="overview",
        title="At a glance",
        tables=[Table(caption="The first measure of each suite", heads=heads, rows=rows)],
    )


def _suite_section(name: str, result: AnyResult, page: Path | None) -> Section:
    suite = SUITES.get(result.suite)
    anchor = name.replace(".", "-").replace("_", "-")
    return Section(
        anchor=anchor,
        title=f"{result.title} ({result.variant})",
        text=[text for text in (suite.summary, suite.source) if text] if suite else [],
        tables=_tables(result),
        figures=_figures(anchor, result),
        after=_notes(result),
        links=[] if page is None else [(ITEMS_PAGE, f"{page.parent.name}/{page.name}")],
    )


def _cells(measured: MeasuredValue) -> list[str]:
    """Estimate, which way is better, sample."""
    return [in_unit(measured.estimate, measured.unit), BETTER[measured.better], sample(measured.estimate)]


def _breakdowns(result: SuiteSummary) -> dict[str, list[MeasuredValue]]:
    """Column -> measures of the items with each of its values."""
    by_column: dict[str, list[MeasuredValue]] = {}
    for measured in result.measures:
        if measured.column:
            by_column.setdefault(measured.column, []).append(measured)
    return by_column


def _tables(result: SuiteSummary) -> list[Table]:
    rows = [[measured.name, *_cells(measured)] for measured in result.measures if not measured.column]
    heads = ["Measure", "Estimate [95 % interval]", "", "n (in groups)"]
    tables = [Table(caption="What was measured", heads=heads, rows=rows)]
    for column, breakdown in _breakdowns(result).items():
        names = list(dict.fromkeys(measured.name for measured in breakdown))
        values = list(dict.fromkeys(measured.value for measured in breakdown))
        cells = {(measured.name, measured.value): in_unit(measured.estimate, measured.unit) for measured in breakdown}
        rows = [[value, *(cells.get((name, value), "") for name in names)] for value in values]
        tables.append(Table(caption=f"By {column.replace('_', ' ')}", heads=["", *names], rows=rows))
    return tables


def _figures(anchor: str, result: SuiteSummary) -> list[Figure]:
    """The first measure by each column it is broken down by."""
    main = headline(result)
    figures = []
    for column, breakdown in _breakdowns(result).items():
        plotted = [measured for measured in breakdown if main is not None and measured.name == main.name]
        plotted = plotted or [measured for measured in breakdown if measured.name == breakdown[0].name]
        first = plotted[0]
        rows: list[tuple[str, Sequence[Estimate | None]]] = [
            (measured.value, [measured.estimate]) for measured in plotted[:MAX_ROWS]
        ]
        frame = Frame(
            name=f"by-{anchor}-{column}".replace("_", "-").replace(" ", "-"),
            title=f"{first.name} by {column.replace('_', ' ')}",
            description="One dot a group of items, with its 95 % interval.",
            x_label=first.name,
            x_percent=first.unit == "share",
            vlines=((0.0, ""),) if first.unit in ("score", "correlation") else (),
        )
        caption = f"{first.description} Bars are 95 % intervals; few items make long ones."
        figures.append(Figure(svg=dot_plot(rows, [first.name], frame), title=frame.title, caption=caption))
    return figures


def _notes(result: AnyResult) -> list[str]:
    """How to read the measures, and what was left out."""
    counts = [f"{result.scored:,} of {result.items:,} items scored, in {result.groups:,} groups"]
    refused: Mapping[str, int] = {}
    if not isinstance(result, HarnessResult):
        refused = result.refused
        if result.available != result.items:
            counts[0] += f"; {result.available:,} were available"
    counts += [f"not scored: {n:,} x {reason}" for reason, n in result.failed.items()]
    counts += [f"left out when reading: {n:,} x {reason}" for reason, n in refused.items()]
    if result.shortened_prompts:
        counts.append(f"prompts that lost their beginning to fit the context: {result.shortened_prompts:,}")
    for reason, n in result.unread_replies.items():
        counts.append(f"drawn replies that were left out of their item's shares: {reason}: {n:,}")
    if result.unfinished_replies:
        counts.append(f"replies that used up their room and were cut off: {result.unfinished_replies:,}")
    descriptions = [
        f"{measured.name.capitalize()}: {measured.description}"
        for measured in result.measures
        if not measured.column and measured.description
    ]
    return [*descriptions, "; ".join(counts) + "."]
