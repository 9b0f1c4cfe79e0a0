"""``preflab compare``: two runs that were measured, written by hand, so that every number is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.atomic_files import write_json
from preflab.cli import main
from preflab.conversion import to_json
from preflab.data.dialogue import Dialogue
from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, summary, write_items
from preflab.evals.suites.capabilities import mmlu
from preflab.rollouts.requests.types import OptionLogprobs, OptionScores

SUITE = "mmlu.chat"
VARIANT = mmlu.SUITE.variant("chat")


def measured(runs: Path, name: str, correct: list[bool], *, data: str = "digest") -> Path:
    """A run with one suite: the items were answered right and wrong as ``correct`` says."""
    results = []
    for n, right in enumerate(correct):
        request = OptionLogprobs(prompt=Dialogue.of(f"question {n}?"), options=(" A", " B"))
        response = OptionScores((-0.1, -3.0) if right else (-3.0, -0.1), (1, 1))
        outcome = {"subject": "law", "correct": float(right)}
        item = Item(id=f"q{n}", group=f"g{n}", data=None)
        results.append(ItemResult(item, [([request], [response])], outcome, None))
    folder = runs / name
    write_items(folder / "items" / f"{SUITE}.jsonl", results)
    (folder / "results").mkdir()
    plain = dict(to_json(summary(mmlu.SUITE, VARIANT, results)))
    plain["asked"] = {"data": data, "limit": None, "who": {"policy": name}, "best_of": 1}
    plain |= {"sources": [], "available": len(correct), "refused": {}, "first_refused": {}}
    plain |= {"answers_found": 0, "measured_tokens": 10}
    write_json(folder / "results" / f"{SUITE}.json", plain)
    write_json(folder / "config.json", {"recipe": "evaluate", "config": {"policy": name}})
    write_json(folder / "record.json", {})  # by this a folder is known for a run
    return folder


def compare(runs: Path, *arguments: str) -> int:
    return main(["compare", *arguments, "--runs", str(runs)])


def test_the_difference_is_of_items_that_both_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "a", [True, False, False, False])
    measured(tmp_path, "b", [True, True, True, False, True])
    assert compare(tmp_path, "a", "b", "--json") == 0
    comparison: dict[str, Any] = json.loads(capsys.readouterr().out)
    suite = comparison["suites"][SUITE]
    assert (suite["common"], suite["only_a"], suite["only_b"]) == (4, 0, 1)
    (accuracy,) = [d for d in suite["differences"] if d["name"] == "accuracy"]
    assert tuple(accuracy[part]["value"] for part in ("a", "b", "gap")) == (0.25, 0.75, 0.5)


def test_a_table_a_remark_and_the_page_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "a", [True, False])
    measured(tmp_path, "b", [True, True, True])
    assert compare(tmp_path, "a", "b") == 0
    shown = capsys.readouterr().out
    assert "b against a, on the items that both scored" in shown
    assert f"{SUITE}: 0 items scored in a alone, 1 in b alone" in shown
    page = tmp_path / "compare-a-b.html"
    assert shown.splitlines()[-1] == str(page) and SUITE in page.read_text()


def test_swapped_runs_swap_the_sign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "a", [True, False, False])
    measured(tmp_path, "b", [True, True, False])
    gaps = []
    for order in (("a", "b"), ("b", "a")):
        assert compare(tmp_path, *order, "--json") == 0
        differences = json.loads(capsys.readouterr().out)["suites"][SUITE]["differences"]
        gaps.append([d["gap"]["value"] for d in differences if d["gap"]])
    assert gaps[0] == pytest.approx([-gap for gap in gaps[1]]) and any(gaps[0])


def test_the_page_goes_where_it_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "a", [True])
    page = tmp_path / "pages" / "mine.html"
    assert compare(tmp_path, "a", "a", "--page", str(page)) == 0
    assert page.is_file() and str(page) in capsys.readouterr().out
    assert not (tmp_path / "compare-a-a.html").exists()


def test_only_suites_that_are_named_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "a", [True])
    for name in ("mmlu", SUITE):
        assert compare(tmp_path, "a", "a", "--suite", name, "--json") == 0
        assert list(json.loads(capsys.readouterr().out)["suites"]) == [SUITE]
    assert compare(tmp_path, "a", "a", "--suite", "truthfulqa") == 5
    assert f"no suite asked the same way in both: a has {SUITE} and a has {SUITE}" in capsys.readouterr().err


def test_other_data_is_left_out_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "a", [True])
    measured(tmp_path, "b", [True], data="another digest")
    assert compare(tmp_path, "a", "b") == 0
    assert f"{SUITE}: not compared: the two were asked on different data" in capsys.readouterr().out


def test_a_run_without_evaluations_says_how_to_get_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path, "a", [True])
    (tmp_path / "b").mkdir()
    write_json(tmp_path / "b" / "config.json", {"recipe": "align", "config": {}})
    write_json(tmp_path / "b" / "record.json", {})
    assert compare(tmp_path, "a", "b") == 5
    assert "b has not been measured; 'preflab eval b' does it" in capsys.readouterr().err
