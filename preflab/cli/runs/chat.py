"""``preflab chat``: talk to the model of a run."""

import argparse

from preflab.cli.start import add_run_name, quiet_libraries
from preflab.errors import ConfigError

NAME = "chat"
SUMMARY = "Talk to the model of a run, before and after alignment, side by side."
COMMANDS: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and how its models reply."""
    add_run_name(parser)
    text = "Randomness of the replies; 0 always takes the likeliest token. Default: as in the run."
    parser.add_argument("--temperature", metavar="T", type=float, help=text)
    text = "Longest reply, in tokens. Default: as in the run."
    parser.add_argument("--max-new-tokens", metavar="N", type=int, help=text)
    text = "Leave out what the preference model thinks of each reply. Default: show it."
    parser.add_argument("--no-scores", action="store_true", help=text)


def work(args: argparse.Namespace) -> int:
    """Open both models and talk until the person ends it.

    Raises:
        ConfigError: the run's recipe has no models to talk to.
    """
    from preflab.runner.launch import find_run, recipe_of

    folder = find_run(args.run, args.runs)
    recipe = recipe_of(folder)
    with quiet_libraries():
        from preflab.cli.chat_session import chat

        open_models = getattr(recipe.load(), "open_models", None)
        if open_models is None:
            raise ConfigError(f"recipe {recipe.name} has no models to talk to; 'preflab chat' needs a run of align")
        with open_models(folder, temperature=args.temperature, max_new_tokens=args.max_new_tokens) as models:
            chat(models.before, models.after, scorer=None if args.no_scores else models.scorer)
    return 0
