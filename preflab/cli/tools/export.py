"""``preflab export``: what was measured, for other programs."""

import argparse
from pathlib import Path

from preflab.cli.parser import show_help
from preflab.cli.start import add_run_name

NAME = "export"
SUMMARY = "Give what was measured to other programs."
COMMANDS: tuple[str, ...] = ("inspect",)
work = show_help


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """To which program, which run."""
    text = "Logs that 'inspect view' opens, one for each suite of a run of 'preflab eval'."
    inspect = parser.add_subparsers(metavar="PROGRAM", title="programs").add_parser(
        "inspect", help=text, description=text
    )
    inspect.set_defaults(work=write_inspect_logs, parser=inspect)
    add_run_name(inspect)
    inspect.add_argument("--out", metavar="FOLDER", help="Where the logs go. Default: inspect in the run's folder.")


def write_inspect_logs(args: argparse.Namespace) -> int:
    """Write a run's logs and print where they are."""
    from preflab.bridges.inspect_log import export
    from preflab.runner.launch import find_run

    for path in export(find_run(args.run, args.runs), None if args.out is None else Path(args.out)):
        print(path)
    return 0
