"""``report.html`` of the recipe ``evaluate``, and beside it a page for each suite with what was asked and said."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab.atomic_files import read_json
from preflab.evals.suites import SUITES
from preflab.maths.statistics import Estimate
from preflab.recipes.evaluate.items import write_items_page
from preflab.reporting.format import in_unit, number, sample
from preflab.reporting.plots import Frame, dot_plot
from preflab.reporting.report import Facts, Figure, Report, Section, Table, read_facts, write_report_page
from preflab.reporting.run_files import restore_estimates

BETTER = {"higher": "higher is better", "lower": "lower is better", "zero": "nearer to 0 is better", "": ""}
MOST_ROWS = 60
ITEMS_PAGE = "Every item: what was asked, what was said, and what came of it"


def suite_results(folder: Path) -> dict[str, dict[str, Any]]:
    """What each suite found, by the name of its stage; estimates as `Estimate`."""
    found = {path.stem: read_json(path) for path in sorted((folder / "results").glob("*.json"))}
    return {name: restore_estimates(result) for name, result in found.items() if "measures" in result}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` and the pages of items into a run folder, from whatever suites have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.evaluate.config import SCALES  # here, because evaluate imports this module

    results = suite_results(folder)
    stages = {name: result["title"] for name, result in results.items()}
    facts = read_facts(folder, "evaluate", stages)
    pages = {name: write_items_page(folder, name, result) for name, result in results.items()}
    return write_report_page(facts, stages, _story(facts, results, pages), SCALES)


def headline(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The measure that stands for a suite: the first of all its items."""
    return next((m for m in result["measures"] if not m["column"]), None)


def _story(facts: Facts, results: Mapping[str, Any], pages: Mapping[str, Path | None]) -> Report:
    who = facts.record["model"].get("name") or facts.config["policy"]
    lead = [
        f"{len(results)} suites. Intervals are 95 % and resample whole groups (templates, prompts, passages). Items "
        "that could not be scored are counted and are neither right nor wrong."
    ]
    notices = [("Read with care", f"{SUITES[r['suite']].title}: {SUITES[r['suite']].warning}") for r in results.values()
               if r.get("suite") in SUITES and SUITES[r["suite"]].warning]  # fmt: skip
    passed = facts.record["counts"].get("suites_passed_over") or {}
    if passed:
        notices.append(("Not measured", "; ".join(f"{name}: {why}" for name, why in passed.items())))
    sections = [_overview(results)] + [_suite(name, result, pages.get(name)) for name, result in results.items()]
    return Report(title=f"How {who} measures up", summary=lead, warnings=notices, sections=sections, claims=False)


def _overview(results: Mapping[str, Any]) -> Section:
    rows = []
    for result in results.values():
        main = headline(result)
        if main is not None:
            cells = (in_unit(main["estimate"], main["unit"]), BETTER[main["better"]], sample(main["estimate"]))
            failed = sum(result["failed"].values())
            rows.append([f"{result['title']} ({result['way']})", main["name"], *cells, number(failed)])
    heads = ["Suite", "Measure", "Estimate [95 % interval]", "", "n (in groups)", "Could not be scored"]
    return Section(
        anchor="overview",
        title="At a glance",
        tables=[Table(caption="The first measure of each suite", heads=heads, rows=rows)],
    )


def _suite(name: str, result: Mapping[str, Any], page: Path | None) -> Section:
    suite = SUITES.get(result.get("suite", ""))
    anchor = name.replace(".", "-").replace("_", "-")
    return Section(
        anchor=anchor,
        title=f"{result['title']} ({result['way']})",
        text=[text for text in (suite.summary if suite else "", suite.source if suite else "") if text],
        tables=_tables(result),
        figures=_figures(anchor, result),
        after=_account(result),
        links=[] if page is None else [(ITEMS_PAGE, f"{page.parent.name}/{page.name}")],
    )


def _tables(result: Mapping[str, Any]) -> list[Table]:
    whole = [m for m in result["measures"] if not m["column"]]
    rows = [[m["name"], in_unit(m["estimate"], m["unit"]), BETTER[m["better"]], sample(m["estimate"])] for m in whole]
    heads = ["Measure", "Estimate [95 % interval]", "", "n (in groups)"]
    tables = [Table(caption="What was measured", heads=heads, rows=rows)]
    columns = dict.fromkeys(m["column"] for m in result["measures"] if m["column"])
    for column in columns:
        own = [m for m in result["measures"] if m["column"] == column]
        names = list(dict.fromkeys(m["name"] for m in own))
        values = list(dict.fromkeys(m["value"] for m in own))
        by = {(m["name"], m["value"]): m for m in own}
        cells = [
            [
                value,
                *(in_unit(by[n, value]["estimate"], by[n, value]["unit"]) if (n, value) in by else "" for n in names),
            ]
            for value in values
        ]
        tables.append(Table(caption=f"By {column.replace('_', ' ')}", heads=["", *names], rows=cells))
    return tables


def _figures(anchor: str, result: Mapping[str, Any]) -> list[Figure]:
    """The first measure by each column it is broken down by."""
    main = headline(result)
    figures = []
    for column in dict.fromkeys(m["column"] for m in result["measures"] if m["column"]):
        own = [m for m in result["measures"] if m["column"] == column]
        shown = [m for m in own if m["name"] == (main or {}).get("name")] or [
            m for m in own if m["name"] == own[0]["name"]
        ]
        rows: list[tuple[str, Sequence[Estimate | None]]] = [(m["value"], [m["estimate"]]) for m in shown[:MOST_ROWS]]
        unit = shown[0]["unit"]
        frame = Frame(
            name=f"by-{anchor}-{column}".replace("_", "-").replace(" ", "-"),
            title=f"{shown[0]['name']} by {column.replace('_', ' ')}",
            description="One dot a group of items, with its 95 % interval.",
            x_label=shown[0]["name"],
            x_percent=unit == "share",
            vlines=((0.0, ""),) if unit in ("score", "correlation") else (),
        )
        how = f"{shown[0]['how']} Bars are 95 % intervals; few items make long ones."
        figures.append(Figure(svg=dot_plot(rows, [shown[0]["name"]], frame), title=frame.title, caption=how))
    return figures


def _account(result: Mapping[str, Any]) -> list[str]:
    """How to read the measures, and what was left out."""
    told = [f"{result['scored']:,} of {result['items']:,} items scored, in {result['groups']:,} groups"]
    if result.get("available", result["items"]) != result["items"]:
        told[0] += f"; {result['available']:,} were available"
    told += [f"not scored: {n:,} x {why}" for why, n in result["failed"].items()]
    told += [f"left out when reading: {n:,} x {why}" for why, n in (result.get("refused") or {}).items()]
    if result.get("shortened_prompts"):
        told.append(f"prompts that lost their beginning to fit the context: {result['shortened_prompts']:,}")
    if result.get("unfinished_replies"):
        told.append(f"replies that used up their room and were cut off: {result['unfinished_replies']:,}")
    read = [f"{m['name'].capitalize()}: {m['how']}" for m in result["measures"] if not m["column"] and m["how"]]
    return [*read, "; ".join(told) + "."]
