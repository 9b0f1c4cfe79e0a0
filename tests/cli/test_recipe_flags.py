"""Flags carry the docstring, the type and the default of their settings."""

import argparse

import pytest

from preflab.cli.parser import Parser
from preflab.cli.recipe_flags import add_setting_flags, help_of, setting_flags
from preflab.cli.runs import align, run
from preflab.cli.tools import eval
from preflab.config_overrides import apply_overrides
from preflab.errors import ConfigError
from preflab.runner.catalogue import recipe_named
from preflab.runner.recipe_settings import Setting


def parse(recipe: str, flags: tuple[tuple[str, str], ...], *arguments: str) -> argparse.Namespace:
    parser = Parser(prog="test")
    add_setting_flags(parser, recipe, flags)
    return parser.parse_args(arguments)


def test_help_is_the_docstring_and_the_defaults_of_every_scale() -> None:
    setting = Setting("n", "Use ``n``, at 50 %", "int | None", (), "None", (("smoke", "60"),))
    assert help_of(setting) == "Use n, at 50 %%. Default: none; scale smoke: 60."


@pytest.mark.parametrize(("recipe", "flags"), [("align", align.FLAGS), ("online", run.FLAGS), ("evaluate", eval.FLAGS)])
def test_every_flag_sets_the_setting_that_it_names(recipe: str, flags: tuple[tuple[str, str], ...]) -> None:
    assert setting_flags(parse(recipe, flags), flags) == {}
    config = recipe_named(recipe).load().SCALES["default"]()
    texts = {"until": "ppo", "judge": "rules:starter", "columns": "prompt=title"}
    for option, name in flags:
        given = texts.get(name.split(".")[-1], "3")
        arguments = (option, given) if option.startswith("-") else (given,)
        changed = setting_flags(parse(recipe, flags, *arguments), flags)
        assert list(changed) == [name]
        assert apply_overrides(config, changed) != config


def test_a_list_is_given_by_repetition_and_a_number_is_a_number() -> None:
    args = parse("evaluate", eval.FLAGS, "--suite", "a", "--suite", "b", "--limit", "3")
    assert setting_flags(args, eval.FLAGS) == {"suites": ("a", "b"), "limit": 3}
    with pytest.raises(ConfigError, match="invalid int value: 'x'"):
        parse("evaluate", eval.FLAGS, "--limit", "x")
