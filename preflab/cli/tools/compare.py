"""``preflab compare``: two measured models, item by item."""

import argparse
import sys

from preflab.cli.start import add_runs_folder, quiet_libraries

NAME = "compare"
SUMMARY = "Compare two measured models item by item, with intervals."
COMMANDS: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which two runs."""
    add = parser.add_argument
    add("a", metavar="A", help="A run of 'preflab eval', its folder, or the model it measured.")
    add("b", metavar="B", help="The other one; differences are B minus A.")
    text = "Compare only this suite, or suite.way; may be given repeatedly. Default: all that both have."
    add("--suite", metavar="SUITE", action="append", dest="suites", help=text)
    add_runs_folder(parser)
    text = "Where the page with tables and plots goes. Default: compare-A-B.html in the folder of runs."
    add("--page", metavar="FILE", help=text)
    add("--json", action="store_true", help="Print the comparison as JSON. Default: a table.")


def work(args: argparse.Namespace) -> int:
    """Compare two runs of ``evaluate`` item by item."""
    with quiet_libraries():
        return _compare(args)


def _compare(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from preflab.atomic_files import json_text
    from preflab.recipes.evaluate.compare import compare_runs, write_comparison
    from preflab.reporting.format import difference, in_unit, number

    comparison = compare_runs(args.a, args.b, runs=args.runs, suites=args.suites)
    page = write_comparison(comparison, args.runs, args.page)
    if args.json:
        print(json_text(comparison.to_json(), indent=1))
        return 0
    title = f"{comparison.b} against {comparison.a}, on the items that both scored"
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for heading in ("suite", "measure", comparison.a, comparison.b, "difference [95 %]", "", "items"):
        table.add_column(Text(heading), overflow="fold")
    for name, suite in comparison.suites.items():
        for k, d in enumerate(suite.differences):
            numbers = (in_unit(d.a, d.unit), in_unit(d.b, d.unit), difference(d.gap, d.unit), d.outcome)
            items = number(d.gap.n if d.gap else suite.common)
            table.add_row(*(Text(cell) for cell in (name if k == 0 else "", d.name, *numbers, items)))
    Console(width=None if sys.stdout.isatty() else 180, highlight=False).print(table)
    for line in comparison.remarks():
        print(line)
    print(page)
    return 0
