"""The command line. Nothing heavy is imported before it is needed: help must come at once."""

import argparse
import os
import sys
from collections.abc import Sequence

from preflab import __version__
from preflab.cli.errors import complain, explain
from preflab.cli.parser import Parser, check_command, refuse_leftovers, show_help
from preflab.cli.runs import align, chat, claims, list_recipes, publish, report, run
from preflab.cli.tools import collect, compare, data, doctor, eval, export, store
from preflab.cli.verb import Verb

STOPPED = "stopped; what was finished is kept: start the same command again to continue"
VERBS: tuple[Verb, ...] = (
    align,
    run,
    list_recipes,
    report,
    publish,
    claims,
    chat,
    eval,
    export,
    compare,
    collect,
    store,
    data,
    doctor,
)
"""In the order of the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code and raises nothing that the user can act on."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _lenient_output()
        args = parse(arguments)
        code: int = args.work(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        is_run = arguments[:1] in (["align"], ["run"], ["eval"])
        print(f"\n{STOPPED if is_run else 'stopped'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # "preflab list | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        complain(explained)
        return explained.exit_code


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command, with its ``work``.

    Raises:
        ConfigError: a command, an option or a value is none.
    """
    parser = build_parser()
    verbs = {verb.NAME: verb for verb in VERBS}
    check_command(arguments, list(verbs), parser.prog)
    verb = verbs.get(next(iter(arguments), ""))
    if verb is not None and verb.COMMANDS:
        check_command(arguments[1:], verb.COMMANDS, f"{parser.prog} {verb.NAME}")
    args, leftovers = parser.parse_known_args(arguments)
    refuse_leftovers(leftovers, args.parser)
    return args


def build_parser(kind: type[Parser] = Parser) -> Parser:
    """Every command and its options."""
    parser = kind(
        prog="preflab",
        description="From a base language model to a helpful, honest and harmless assistant, and the evidence.",
    )
    parser.add_argument("--version", action="version", version=f"preflab {__version__}")
    parser.set_defaults(work=show_help, parser=parser)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    for verb in VERBS:
        command = commands.add_parser(
            verb.NAME, help=verb.SUMMARY, description=verb.SUMMARY, conflict_handler="resolve"
        )
        command.set_defaults(work=verb.work, parser=command)
        verb.add_arguments(command)
    return parser


def _lenient_output() -> None:
    """Characters that the terminal's encoding lacks are spelled out, not fatal."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
