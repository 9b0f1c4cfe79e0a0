"""``preflab claims``."""

import json
from pathlib import Path

import pytest

from preflab.cli import main
from preflab.runner.published import ROOT

KEYS = {"source", "recipe", "claim", "verdict", "estimate", "low", "high", "n", "seeds", "run"}


def claims(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["claims", "--json", "--results", str(ROOT / "results"), *arguments]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def test_every_source_has_its_claims_and_those_without_a_run_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = claims(capsys)
    assert all(set(row) == KEYS for row in rows)
    assert {f"{n:02d}" for n in range(1, 15)} <= {row["source"] for row in rows}
    assert {row["verdict"] for row in rows} == {"holds", "fails", "undecided", "not run"}
    assert all((row["run"] is None) == (row["verdict"] == "not run") for row in rows)


def test_one_source_or_one_recipe_is_shown_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert {row["source"] for row in claims(capsys, "7")} == {"07"}
    assert {row["recipe"] for row in claims(capsys, "christiano2017_horizon")} == {"christiano2017_horizon"}


def test_the_table_shows_verdict_number_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "sft", "--results", str(ROOT / "results")]) == 0
    shown = capsys.readouterr().out
    assert "supervised fine-tuning makes unseen replies more probable" in shown
    assert "holds" in shown and "nats" in shown and "sft/default" in shown
    assert main(["claims", "sft", "--results", str(tmp_path)]) == 0
    assert "not run" in capsys.readouterr().out


def test_an_unknown_source_is_refused_with_what_is_near(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "gangulli"]) == 2
    assert "unknown source 'gangulli'; did you mean 'ganguli" in capsys.readouterr().err
