"""``preflab run``: any recipe by name.

    preflab run rafailov2023_dpo --scale smoke --set dpo.beta=0.05
    preflab run rafailov2023_dpo --help        the same options, and every setting of that recipe
    preflab run rafailov2023_dpo --show-config

An unfinished run of that name is taken up where it stopped.
"""

import argparse

from preflab.cli.start import add_run_options, start

NAME = "run"
SUMMARY = "Run a recipe by name ('preflab list' shows them)."
COMMANDS: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, and the options of every run; ``preflab run RECIPE --help`` shows that recipe's settings."""
    parser.add_argument("recipe", metavar="RECIPE", help="Name of the recipe; --help after it shows its settings.")
    add_run_options(parser, None)


def work(args: argparse.Namespace) -> int:
    """Start the recipe or take it up again."""
    return start(args.recipe, args, {})
