"""What every run's command shares."""

import os
import warnings

import pytest

from preflab.cli.parser import Parser
from preflab.cli.start import add_run_options, quiet_libraries, show_outcome


def test_scales_are_those_of_the_recipe_and_settings_pile_up() -> None:
    parser = Parser(prog="test", add_help=False)
    add_run_options(parser, "sft")
    args = parser.parse_args(["--scale", "smoke", "--set", "a=1", "--set", "b=2"])
    assert (args.scale, args.set, args.runs, args.seed) == ("smoke", ["a=1", "b=2"], "runs", None)


def test_an_outcome_is_a_table_in_characters_that_every_terminal_has(capsys: pytest.CaptureFixture[str]) -> None:
    show_outcome([("gain", "+0.31 [\u22120.10, unbounded] nats", "by [bold]it[/bold]")], "sft: runs/r")
    assert capsys.readouterr().out.splitlines() == [
        "sft: runs/r                                            ".rstrip().ljust(
            len("gain  +0.31 [-0.10, unbounded] nats  by [bold]it[/bold]")
        ),
        "gain  +0.31 [-0.10, unbounded] nats  by [bold]it[/bold]",
    ]


def test_other_libraries_are_quiet_and_what_the_user_asked_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "info")
    monkeypatch.delenv("HF_HUB_VERBOSITY", raising=False)
    with quiet_libraries():
        warnings.warn("the setting is_gradient_checkpointing is old", FutureWarning, stacklevel=1)
        assert os.environ["TRANSFORMERS_VERBOSITY"] == "info"
        assert os.environ["HF_HUB_VERBOSITY"] == "error"
