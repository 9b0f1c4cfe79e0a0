"""Options that every run has, and how a recipe is started from them."""

import argparse
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from preflab.cli.parser import one_of
from preflab.cli.recipe_flags import settings_text
from preflab.runner.catalogue import recipe_named


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep warnings and progress bars of other libraries out of ours; what the user asks for by variable stays."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        from transformers.utils import logging

        logging.disable_progress_bar()
        yield


class HelpWithSettings(argparse.Action):
    """``--help``, with the settings of the recipe (``const``, or the one named before) at its end."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *values: object) -> None:
        """Print and stop."""
        parser.print_help()
        if name := self.const or getattr(namespace, "recipe", None):
            print("\n" + settings_text(recipe_named(name)), end="")
        parser.exit()


def add_run_options(parser: argparse.ArgumentParser, recipe: str | None) -> None:
    """Scale, name, folder, seed and settings of a run; of any recipe where none is named."""
    add = parser.add_argument
    text = "Show this help and the settings of the recipe. Default: run."
    add("-h", "--help", action=HelpWithSettings, nargs=0, const=recipe, default=argparse.SUPPRESS, help=text)
    if recipe is None:
        add("--scale", metavar="SCALE", default="default", help="How large the run is. Default: default.")
    else:
        scales = recipe_named(recipe).scales
        text = f"How large the run is: {', '.join(scales)}. Default: default."
        add("--scale", metavar="SCALE", type=one_of("scale", scales), default="default", help=text)
    add("--name", metavar="RUN", help="Name of the run's folder. Default: made from recipe, data, model and scale.")
    add_runs_folder(parser)
    add("--seed", metavar="N", type=int, help="Where all randomness starts. Default: 0.")
    add("--config", metavar="FILE", help="A YAML file of settings, as --show-config prints them. Default: none.")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="One more setting, such as ppo.steps=12; may be given repeatedly and has the last word. Default: none.",
    )
    add("--fresh", action="store_true", help="Delete the run of this name and begin anew. Default: take it up again.")
    add("--quiet", action="store_true", help="Show the outcome alone, no progress. Default: show progress.")
    add("--show-config", action="store_true", help="Print the settings as YAML and stop there. Default: run.")


def add_runs_folder(parser: argparse.ArgumentParser) -> None:
    """``--runs``."""
    parser.add_argument("--runs", metavar="FOLDER", default="runs", help="The folder in which runs lie. Default: runs.")


def add_run_name(parser: argparse.ArgumentParser) -> None:
    """``RUN`` and ``--runs``: a run that exists."""
    parser.add_argument("run", metavar="RUN", help="Name of a run, or its folder.")
    add_runs_folder(parser)


def start(name: str, args: argparse.Namespace, flags: dict[str, object]) -> int:
    """Resolve the settings, then run or take up again, then show the outcome."""
    from preflab import distributed
    from preflab.runner.launch import default_name, discard, launch, resolve, run_folder

    recipe = recipe_named(name)
    folder = None if args.name is None else run_folder(args.runs, args.name)  # refused before anything is loaded
    if args.seed is not None:
        flags = flags | {"seed": args.seed}
    with quiet_libraries():
        config = resolve(recipe, scale=args.scale, file=args.config, flags=flags, assignments=args.set)
        if args.show_config:
            import yaml

            from preflab.conversion import to_json

            print(yaml.safe_dump(to_json(config), sort_keys=False, allow_unicode=True), end="")
            return 0
        folder = folder or run_folder(args.runs, default_name(recipe, args.scale, config))
        with distributed.process_group():
            with distributed.rank_zero_first() as is_rank_zero:
                if is_rank_zero and args.fresh and discard(folder) and not args.quiet:
                    print(f"{folder}: the earlier run was deleted (--fresh)", file=sys.stderr)
            did_work = launch(recipe, config, folder, quiet=args.quiet)
            if is_rank_zero:
                if not did_work and not args.quiet:
                    print(f"{folder}: was already finished; nothing was done again", file=sys.stderr)
                show_outcome(recipe.load().summarise(folder), f"{name}: {folder}")
            distributed.shutdown()
    return 0


def show_outcome(lines: Sequence[tuple[str, str, str]], title: str) -> None:
    """A short table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from preflab.reporting.format import ascii_text

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    table = Table(title=Text(title), title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_column(style="dim")
    for line in lines:
        table.add_row(*(Text(ascii_text(cell)) for cell in line))
    console.print(table)
