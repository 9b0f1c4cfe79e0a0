"""``preflab eval`` and ``preflab compare``: their options, and what they print. Nothing heavy is imported for help."""

import argparse
import sys
from collections.abc import Callable

SUITE_LIST = "'preflab eval --list' shows them"


def eval_options(parser: argparse.ArgumentParser) -> None:
    """What is measured, on which suites, and who helps to judge."""
    add = parser.add_argument
    add(
        "policy",
        metavar="RUN_OR_MODEL",
        nargs="?",
        help="A run (its exported policy), smollm2, tiny, a folder, a .gguf file, a hub id, or the address of a server "
        "that speaks OpenAI's chat protocol. Default: smollm2.",
    )
    text = f"A suite, suite:way or a file.py of yours; repeatable; all for every one ({SUITE_LIST}). Default: starter."
    add("--suite", metavar="SUITE", action="append", dest="suites", help=text)
    text = "Folder in which data sets lie, or SUITE=FILE for one; may be given repeatedly. Default: from the hub."
    add("--data", metavar="PATH", action="append", help=text)
    add("--limit", metavar="N", type=int, help="Items of each suite at most, drawn by the seed. Default: all.")
    text = "Who judges replies where a suite needs it, named as the model is. Default: nobody."
    add("--judge", metavar="MODEL", help=text)
    text = "A run with a preference model, or such a model's folder. Default: the run's own, if it has one."
    add("--pm", metavar="RUN", help=text)
    text = "Replies drawn of which the preference model's best counts. Default: 1."
    add("--best-of", metavar="N", type=int, help=text)
    add("--served-name", metavar="NAME", help="What a server calls the model. Default: none; servers need it.")
    text = "What the judge's server calls it. Default: none."
    add("--judge-served-name", metavar="NAME", help=text)
    text = "Use no other run's answers, and keep these in the run alone. Default: all runs share their answers."
    add("--no-cache", action="store_true", help=text)
    add(
        "--list",
        action="store_true",
        help="List the suites, how each can be asked, and the files each needs. Default: measure.",
    )


def eval_flags(args: argparse.Namespace) -> dict[str, object]:
    """The options as settings of the recipe ``evaluate``; None where one was not given."""
    names = ("policy", "limit", "judge", "pm", "best_of", "served_name", "judge_served_name")
    flags: dict[str, object] = {name: getattr(args, name) for name in names}
    for name in ("suites", "data"):
        given = getattr(args, name)
        flags[name] = None if given is None else tuple(given)
    return flags | {"runs": args.runs, "cache": False if args.no_cache else None}


def list_suites() -> int:
    """Print every suite, its ways, and the files it reads."""
    from preflab.evals.suites import SUITES

    for suite in SUITES.values():
        print(f"{suite.name:<16} {suite.summary}")
        print(f"{'':<16} from {', '.join(suite.files) or 'the package itself'}; {suite.source}")
        for i, way in enumerate(suite.variants):
            who = f" [asks {', '.join(sorted(way.roles))}]"
            print(f"{'':<16}   :{way.name:<14} {way.summary}{who}{' (default)' if i == 0 else ''}")
    return 0


def compare_options(parser: argparse.ArgumentParser) -> None:
    """Which two runs."""
    add = parser.add_argument
    add("a", metavar="A", help="A run of 'preflab eval', its folder, or the model it measured.")
    add("b", metavar="B", help="The other one; differences are B minus A.")
    text = "Compare only this suite, or suite.way; may be given repeatedly. Default: all that both have."
    add("--suite", metavar="SUITE", action="append", dest="suites", help=text)
    add("--runs", metavar="FOLDER", default="runs", help="The folder in which runs lie. Default: runs.")
    text = "Where the page with tables and plots goes. Default: compare-A-B.html in the folder of runs."
    add("--page", metavar="FILE", help=text)
    add("--json", action="store_true", help="Print the comparison as JSON. Default: a table.")


def compare(args: argparse.Namespace) -> int:
    """Compare two runs of ``evaluate`` item by item."""
    import json

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from preflab.recipes.evaluate.compare import compare_runs, write_comparison
    from preflab.reporting.format import difference, in_unit, number

    found = compare_runs(args.a, args.b, runs=args.runs, suites=args.suites)
    page = write_comparison(found, args.runs, args.page)
    if args.json:
        print(json.dumps(found.to_json(), indent=1))
        return 0
    title = f"{found.b} against {found.a}, on the items that both scored"
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for head in ("suite", "measure", found.a, found.b, "difference [95 %]", "", "items"):
        table.add_column(Text(head), overflow="fold")
    for name, own in found.suites.items():
        for k, d in enumerate(own.differences):
            shown = (in_unit(d.a, d.unit), in_unit(d.b, d.unit), difference(d.gap, d.unit), d.outcome)
            table.add_row(
                *(Text(t) for t in (name if k == 0 else "", d.name, *shown, number(d.gap.n if d.gap else own.common)))
            )
    Console(width=None if sys.stdout.isatty() else 180, highlight=False).print(table)
    for line in found.remarks():
        print(line)
    print(page)
    return 0


def export_options(parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace], int]) -> None:
    """To which program, which run."""
    text = "Logs that 'inspect view' opens, one for each suite of a run of 'preflab eval'."
    inspect = parser.add_subparsers(metavar="PROGRAM", title="programs").add_parser(
        "inspect", help=text, description=text
    )
    inspect.set_defaults(work=work)
    inspect.add_argument("run", metavar="RUN", help="Name of a run, or its folder.")
    inspect.add_argument(
        "--runs", metavar="FOLDER", default="runs", help="The folder in which runs lie. Default: runs."
    )
    inspect.add_argument("--out", metavar="FOLDER", help="Where the logs go. Default: inspect in the run's folder.")


def export(args: argparse.Namespace) -> int:
    """Write a run's logs and print where they are."""
    from pathlib import Path

    from preflab.bridges.inspect_log import export as write_logs
    from preflab.runner.launch import find_run

    for path in write_logs(find_run(args.run, args.runs), None if args.out is None else Path(args.out)):
        print(path)
    return 0
