"""``preflab publish``: the numbers of a finished run as one small file."""

import argparse
from pathlib import Path

from preflab.cli.start import add_run_name

NAME = "publish"
SUMMARY = "Write the settings, verdicts and numbers of a finished run as one small file."
COMMANDS: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and where the file goes."""
    add_run_name(parser)
    text = "Where the file goes, as <recipe>/<run>.json below it. Default: results."
    parser.add_argument("--to", metavar="FOLDER", default="results", help=text)


def work(args: argparse.Namespace) -> int:
    """Write the file and print where it is."""
    from preflab.runner.launch import find_run
    from preflab.runner.publish import publish

    print(publish(find_run(args.run, args.runs), Path(args.to).expanduser()))
    return 0
