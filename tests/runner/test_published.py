"""Published runs beside the claims they say something of."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.errors import RunError
from preflab.runner.published import LARGEST, ROOT, claim_rows, dump_lines, published_runs, read_published

KEYS = ["source", "recipe", "claim", "verdict", "estimate", "low", "high", "n", "seeds", "run"]


def write(folder: Path, recipe: str, run: str, *verdicts: dict[str, Any]) -> None:
    usual = {"of": "", "stage": "s", "claim": "words", "outcome": "holds", "value": 1.0, "low": 0.5, "high": None,
             "threshold": 0.0, "unit": "nats", "n": 5, "clusters": None, "seeds": 1}  # fmt: skip
    fields = {
        "format": 1,
        "recipe": recipe,
        "run": run,
        "settings": {},
        "results": {},
        "verdicts": [usual | v for v in verdicts],
    }
    (folder / recipe).mkdir(parents=True, exist_ok=True)
    (folder / recipe / f"{run}.json").write_text(json.dumps(fields))


def test_a_claim_has_a_row_for_every_run_and_one_without_a_run_says_so(tmp_path: Path) -> None:
    write(tmp_path, "sft", "a", {"id": "sft"}, {"id": None, "claim": "something else"})
    write(tmp_path, "sft", "b", {"id": "sft", "outcome": "fails"})
    rows = [row.to_json() for row in claim_rows(published_runs(tmp_path), "02")]
    assert all(list(row) == KEYS for row in rows)
    assert [(row["verdict"], row["run"]) for row in rows[:2]] == [("holds", "a"), ("fails", "b")]
    assert (rows[0]["estimate"], rows[0]["high"], rows[0]["n"]) == (1.0, None, 5)
    assert rows[2] == dict.fromkeys(KEYS) | {"source": "02", "claim": rows[2]["claim"], "verdict": "not run"}
    assert (rows[-1]["claim"], rows[-1]["run"]) == ("something else", "a")  # of no claim: under its recipe's source


def test_the_checkpoint_that_a_verdict_is_about_stands_with_the_claim(tmp_path: Path) -> None:
    write(tmp_path, "ganguli2023_self_correction", "small", {"id": "neutral", "of": "tiny-0"})
    rows = claim_rows(published_runs(tmp_path), "ganguli")
    assert [row.claim for row in rows if row.run] == ["Winogender: the instruction raises neutral pronouns (tiny-0)"]


@pytest.mark.parametrize("content", ["{}", '{"format": 1, "recipe": "sft"}', "[]", "{"])
def test_what_is_no_published_run_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"x\.json"):
        read_published(path)


def test_a_file_has_a_line_for_each_entry_of_its_outer_levels() -> None:
    content = dump_lines({"a": 1, "b": {"c": [1, 2], "d": "ü"}, "e": [{"f": 0.5}], "g": {}})
    assert content.decode() == (
        '{\n "a": 1,\n "b": {\n  "c": [1, 2],\n  "d": "ü"\n },\n "e": [\n  {"f": 0.5}\n ],\n "g": {}\n}\n'
    )
    assert json.loads(content)["b"]["d"] == "ü"


def test_every_committed_run_is_small_and_each_of_its_verdicts_is_of_a_claim() -> None:
    runs = published_runs(ROOT / "results")
    assert len(runs) >= 14
    for run in runs:
        path = ROOT / "results" / run.recipe / f"{run.run}.json"
        assert path.stat().st_size <= LARGEST
        assert [v.claim for v in run.verdicts if v.id is None] == []
