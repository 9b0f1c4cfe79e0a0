"""``preflab run``: any recipe by name.

    preflab run rafailov2023_dpo --scale smoke --set dpo.beta=0.05
    preflab run rafailov2023_dpo --help        the same options, and every setting of that recipe
    preflab run rafailov2023_dpo --show-config

An unfinished run of that name is taken up where it stopped.
"""

import argparse

from preflab.cli.recipe_flags import Flag, add_setting_flags, setting_flags
from preflab.cli.start import add_run_options, start
from preflab.errors import ConfigError
from preflab.runner.catalogue import recipe_named
from preflab.runner.recipe_settings import setting_named

NAME = "run"
SUMMARY = "Run a recipe by name ('preflab list' shows them)."
COMMANDS: tuple[str, ...] = ()
FLAGS: tuple[Flag, ...] = (("--judge", "data.judge"),)
"""Settings that recipes on comparisons share."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, and the options of every run; ``preflab run RECIPE --help`` shows that recipe's settings."""
    parser.add_argument("recipe", metavar="RECIPE", help="Name of the recipe; --help after it shows its settings.")
    add_setting_flags(parser, "rafailov2023_dpo", FLAGS, metavars={"--judge": "SPEC"})  # one help, whatever recipe
    add_run_options(parser, None)


def work(args: argparse.Namespace) -> int:
    """Start the recipe or take it up again.

    Raises:
        ConfigError: a flag is of no setting of this recipe.
    """
    flags = setting_flags(args, FLAGS)
    _check_flags(args.recipe, flags)
    return start(args.recipe, args, flags)


def _check_flags(recipe_name: str, flags: dict[str, object]) -> None:
    """Whether the recipe has the settings of the flags that were given."""
    recipe = recipe_named(recipe_name)
    for option, name in FLAGS:
        if name in flags:
            try:
                setting_named(recipe, name)
            except ConfigError as error:
                raise ConfigError(f"{option}: recipe {recipe.name} has no setting {name}") from error
