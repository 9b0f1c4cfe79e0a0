"""Every file of the command line is a verb: what the list of commands and the parser read of it is there and true."""

import argparse
import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from preflab.cli import VERBS
from preflab.cli.parser import Parser
from preflab.cli.verb import Verb
from tests.cli.commands import ROOT

NAMES = [verb.NAME for verb in VERBS]


class Listening(Parser):
    """Remembers the commands below it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.commands: Any = None

    def add_subparsers(self, **settings: Any) -> Any:
        self.commands = super().add_subparsers(**settings)
        return self.commands


def parser_of(verb: Verb) -> Listening:
    parser = Listening(prog=verb.NAME, conflict_handler="resolve")  # a recipe's help lists its settings
    verb.add_arguments(parser)
    return parser


def test_every_file_gives_one_verb() -> None:
    folders = [ROOT / "preflab" / "cli" / name for name in ("runs", "tools")]
    files = sorted(f"{path.parent.name}.{path.stem}" for folder in folders for path in folder.glob("[!_]*.py"))
    modules: list[Any] = list(VERBS)
    assert files == sorted(".".join(module.__name__.split(".")[-2:]) for module in modules)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("verb", VERBS, ids=NAMES)
def test_a_verb_is_summed_up_in_one_sentence(verb: Verb) -> None:
    assert verb.SUMMARY[0].isupper() and verb.SUMMARY.endswith(".")
    assert ". " not in verb.SUMMARY and len(verb.SUMMARY) < 80
    assert verb.NAME.lower() == verb.NAME and verb.NAME.isidentifier()


@pytest.mark.parametrize("verb", VERBS, ids=NAMES)
def test_commands_below_a_verb_are_those_of_its_parser(verb: Verb) -> None:
    commands = parser_of(verb).commands
    assert set(verb.COMMANDS) == set(commands.choices if commands is not None else ())


@pytest.mark.parametrize("verb", VERBS, ids=NAMES)
def test_work_takes_parsed_arguments_and_gives_an_exit_code(verb: Verb) -> None:
    signature = inspect.signature(verb.work)
    assert [parameter.annotation for parameter in signature.parameters.values()] == [argparse.Namespace]
    assert signature.return_annotation is int


@pytest.mark.parametrize("verb", VERBS, ids=NAMES)
def test_an_option_means_one_thing_and_is_written_in_lower_case(verb: Verb) -> None:
    text = parser_of(verb).format_usage()
    options = [word.strip("[]|()") for word in text.split() if word.strip("[]|()").startswith("--")]
    assert len(options) == len(set(options))
    assert all(option == option.lower() and "_" not in option for option in options)


def test_what_has_the_parts_is_a_verb_and_what_lacks_one_is_refused_by_the_type() -> None:
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file")

    def work(args: argparse.Namespace) -> int:
        return len(args.file)

    verb: Any = SimpleNamespace(NAME="x", SUMMARY="Do x.", COMMANDS=(), add_arguments=add_arguments, work=work)
    assert verb.work(parser_of(verb).parse_args(["abc"])) == 3
