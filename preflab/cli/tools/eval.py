"""``preflab eval``: measure a model."""

import argparse

from preflab.cli.recipe_flags import Flag, add_setting_flags, setting_flags
from preflab.cli.start import add_run_options, start

NAME = "eval"
SUMMARY = "Measure a model: bias, honesty, over-refusal, preferences, capabilities."
COMMANDS: tuple[str, ...] = ()
FLAGS: tuple[Flag, ...] = (
    ("policy", "policy"),
    ("--suite", "suites"),
    ("--data", "data"),
    ("--limit", "limit"),
    ("--judge", "judge"),
    ("--pm", "pm"),
    ("--best-of", "best_of"),
    ("--served-name", "served_name"),
    ("--judge-served-name", "judge_served_name"),
)
"""Option and setting of the recipe ``evaluate``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is measured, on which suites, and who helps to judge."""
    metavars = {"policy": "RUN_OR_MODEL", "--data": "PATH", "--judge": "MODEL", "--pm": "RUN"}
    names = {"--served-name": "NAME", "--judge-served-name": "NAME"}
    add_setting_flags(parser, "evaluate", FLAGS, metavars=metavars | names)
    text = "Use no other run's answers, and keep these in the run alone. Default: all runs share their answers."
    parser.add_argument("--no-cache", action="store_true", help=text)
    text = "List the suites, how each can be asked, and the files each needs. Default: measure."
    parser.add_argument("--list", action="store_true", help=text)
    add_run_options(parser, "evaluate")


def work(args: argparse.Namespace) -> int:
    """Run the recipe ``evaluate``, or list the suites."""
    if args.list:
        return list_suites()
    flags = setting_flags(args, FLAGS) | {"runs": args.runs}
    return start("evaluate", args, flags | ({"cache": False} if args.no_cache else {}))


def list_suites() -> int:
    """Print every suite, its variants, and the files it reads."""
    from preflab.evals.suites import SUITES

    for suite in SUITES.values():
        print(f"{suite.name:<16} {suite.summary}")
        print(f"{'':<16} from {', '.join(suite.files) or 'the package itself'}; {suite.source}")
        for i, variant in enumerate(suite.variants):
            roles = f" [asks {', '.join(sorted(variant.roles))}]"
            print(f"{'':<16}   :{variant.name:<14} {variant.summary}{roles}{' (default)' if i == 0 else ''}")
    return 0
