"""The argument parser: complaints are errors with a suggestion, and nothing may be left over."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError

EPILOG = "Set PREFLAB_DEBUG=1 to see where an error comes from."


class Parser(argparse.ArgumentParser):
    """Complaints are ConfigErrors with a suggestion; options are written out."""

    def __init__(self, *args: object, **settings: object) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "epilog": EPILOG, **settings})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Complain as all of preflab does, and point to the help."""
        raise ConfigError(f"{message}\n'{self.prog} --help' says what there is")


def one_of(noun: str, choices: Sequence[str]) -> Callable[[str], str]:
    """The ``type`` of an option that takes one of some words; another is refused with what is near."""

    def choice(text: str) -> str:
        if text not in choices:
            near = did_you_mean(text, choices) or f"; known are {', '.join(choices)}"
            raise argparse.ArgumentTypeError(f"unknown {noun} {text!r}{near}")
        return text

    return choice


def show_help(args: argparse.Namespace) -> int:
    """The work of a command that only has commands below it: exit code 2."""
    args.parser.print_help()
    return 2


def check_command(arguments: Sequence[str], commands: Sequence[str], prog: str) -> None:
    """Refuse a first word that is no command of ``prog``, with what is near.

    Raises:
        ConfigError: it is none.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        near = did_you_mean(arguments[0], commands) or f"; known are {', '.join(commands)}"
        raise ConfigError(f"unknown command {arguments[0]!r}{near}\n'{prog} --help' says what there is")


def refuse_leftovers(leftovers: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Refuse what no parser took, with the option that is near.

    Raises:
        ConfigError: something is left.
    """
    if leftovers:
        name = leftovers[0].split("=")[0]
        noun = "option" if name.startswith("-") else "argument"
        options = re.findall(r"(?<![\w-])--?[a-z][\w-]*", parser.format_usage())
        parser.error(f"unknown {noun} {name!r}{did_you_mean(name, options)}")
