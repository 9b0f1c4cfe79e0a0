"""``preflab align``: the main job."""

import argparse

from preflab.cli.recipe_flags import Flag, add_setting_flags, setting_flags
from preflab.cli.start import add_run_options, start

NAME = "align"
SUMMARY = "Align a model with preferences, end to end: the main job."
COMMANDS: tuple[str, ...] = ()
FLAGS: tuple[Flag, ...] = (
    ("--policy", "model.policy"),
    ("--comparisons", "data.comparisons"),
    ("--format", "data.format"),
    ("--columns", "data.columns"),
    ("--split", "data.split"),
    ("--max-comparisons", "data.max_comparisons"),
    ("--judge", "data.judge"),
    ("--until", "until"),
)
"""Option and setting; every other setting is reached by ``--set``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the settings that are changed most, then those of every run."""
    metavars = {"--policy": "NAME", "--comparisons": "NAME", "--judge": "SPEC", "--until": "STAGE"}
    metavars["--columns"] = "NAME=COLUMN"
    add_setting_flags(parser, NAME, FLAGS, metavars=metavars)
    add_run_options(parser, NAME)


def work(args: argparse.Namespace) -> int:
    """Run the recipe ``align``."""
    return start(NAME, args, setting_flags(args, FLAGS))
