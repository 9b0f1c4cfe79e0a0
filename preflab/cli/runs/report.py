"""``preflab report``: the page of a run, anew.

Everything in it comes from the files of the run's folder; nothing is computed again.
"""

import argparse

from preflab.cli.start import add_run_name

NAME = "report"
SUMMARY = "Write the report of a run anew from its results."
COMMANDS: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    add_run_name(parser)


def work(args: argparse.Namespace) -> int:
    """Write ``report.html`` and print where it is."""
    from preflab.runner.launch import find_run, recipe_of

    folder = find_run(args.run, args.runs)
    recipe_of(folder).load().write_report(folder)
    print(folder / "report.html")
    return 0
