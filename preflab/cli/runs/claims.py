"""``preflab claims``: what the sources claim, and what the runs say of it."""

import argparse
import sys

NAME = "claims"
SUMMARY = "List what the sources claim, and what published runs say of each claim."
COMMANDS: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of which source, from which runs, in which form."""
    text = "A source by number (01 to 14) or first author, or a recipe. Default: all."
    parser.add_argument("source", metavar="SOURCE", nargs="?", help=text)
    text = "Where 'preflab publish' put the runs. Default: results here, or those of this repository."
    parser.add_argument("--results", metavar="FOLDER", help=text)
    parser.add_argument("--json", action="store_true", help="Print a list of objects. Default: a table.")


def work(args: argparse.Namespace) -> int:
    """Print every claim with its verdict."""
    from preflab.atomic_files import json_text
    from preflab.runner.published import claim_rows, published_runs, results_folder

    rows = claim_rows(published_runs(results_folder(args.results)), args.source)
    if args.json:
        print(json_text([row.to_json() for row in rows], indent=1, ensure_ascii=False))
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from preflab.reporting.format import ascii_text, claim_number, sample

    table = Table(box=None, pad_edge=False)
    for heading in ("source", "claim", "verdict", "estimate [95 %]", "n", "run"):
        table.add_column(Text(heading), overflow="fold")
    previous = ""
    for row in rows:
        title = "" if row.source.key == previous else f"{row.source.number} {row.source.citation}".strip()
        previous = row.source.key
        cells = [title, row.claim, "not run", "", "", ""]
        if (verdict := row.verdict) is not None:
            number = claim_number(verdict.estimate, verdict.unit, verdict.threshold)
            cells[2:] = [verdict.outcome, number, sample(verdict.estimate), f"{row.recipe}/{row.run}"]
        table.add_row(*(Text(ascii_text(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
    return 0
