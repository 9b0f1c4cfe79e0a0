"""Complaints of the parser say what is near."""

import argparse

import pytest

from preflab.cli.parser import Parser, check_command, one_of, refuse_leftovers, show_help
from preflab.errors import ConfigError


def test_a_choice_that_does_not_exist_is_refused_with_what_is_near() -> None:
    choose = one_of("stage", ("ppo", "measure"))
    assert choose("ppo") == "ppo"
    with pytest.raises(argparse.ArgumentTypeError, match=r"unknown stage 'mesure'; did you mean 'measure'\?"):
        choose("mesure")
    with pytest.raises(argparse.ArgumentTypeError, match="unknown stage 'x'; known are ppo, measure"):
        choose("x")


def test_a_first_word_that_is_no_command_is_refused_and_an_option_is_none() -> None:
    check_command([], ("align",), "preflab")
    check_command(["--help"], ("align",), "preflab")
    check_command(["align", "more"], ("align",), "preflab")
    with pytest.raises(ConfigError, match=r"unknown command 'algin'; did you mean 'align'\?\n'preflab --help'"):
        check_command(["algin"], ("align",), "preflab")


def test_what_no_option_took_is_refused_with_the_option_that_is_near() -> None:
    parser = Parser(prog="test")
    parser.add_argument("--policy")
    parser.add_argument("--long-name", action="store_true")
    refuse_leftovers([], parser)
    with pytest.raises(ConfigError, match=r"unknown option '--polcy'; did you mean '--policy'\?"):
        refuse_leftovers(["--polcy=x"], parser)
    with pytest.raises(ConfigError, match="unknown argument 'x'"):
        refuse_leftovers(["x"], parser)


def test_a_complaint_points_to_the_help_and_help_alone_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="test", description="Tests.")
    with pytest.raises(ConfigError, match="'test --help' says what there is"):
        parser.parse_args(["--nothing"])
    assert show_help(argparse.Namespace(parser=parser)) == 2
    assert "Tests." in capsys.readouterr().out
