"""The report of ``evaluate`` and its pages of items, from a run on questions of our own."""

import json
from pathlib import Path

import pytest

from preflab.atomic_files import read_json, write_json
from preflab.conversion import to_json
from preflab.recipes.evaluate.config import smoke
from preflab.recipes.evaluate.report import write_report
from tests.recipes.evaluate.command import QUESTIONS, evaluate
from tests.recipes.evaluate.results_of import measured, suite_result


def test_from_question_to_report(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data)) == 0
    folder = tmp_path / "runs" / "e"
    found = read_json(folder / "results" / "mmlu.zero-shot.json")
    assert (found["items"], found["scored"], found["failed"]) == (4, 4, {})
    lines = [json.loads(line) for line in (folder / "items" / "mmlu.zero-shot.jsonl").read_text().splitlines()]
    right = sum(line["outcome"]["correct"] for line in lines) / 4
    assert found["measures"][0]["estimate"]["value"] == right
    page = (folder / "report.html").read_text()
    assert "MMLU (zero-shot)" in page
    assert "items/mmlu.zero-shot.html" in page
    items = (folder / "items" / "mmlu.zero-shot.html").read_text()
    assert all(question in items for question, _, _ in QUESTIONS)
    assert "<script" not in page + items
    assert "accuracy" in capsys.readouterr().out


def test_a_breakdown_has_a_table_and_a_plot_and_counts_are_told(tmp_path: Path) -> None:
    breakdown = [measured("accuracy", value, column="subject", of=name) for name, value in (("law", 0.5), ("art", 0.9))]
    result = suite_result([measured("accuracy", 0.7), *breakdown], failed=1)
    write_json(tmp_path / "results" / "mmlu.chat.json", to_json(result) | {"seconds": 1.0})
    write_json(tmp_path / "config.json", {"recipe": "evaluate", "config": to_json(smoke())})
    write_json(tmp_path / "record.json", {})
    page = write_report(tmp_path).read_text("utf-8")
    assert "By subject" in page and "accuracy by subject" in page
    assert page.count("<svg") == 1
    assert "9 of 10 items scored, in 10 groups; 12 were available; not scored: 1 x the model said nothing" in page
    assert "replies that used up their room and were cut off: 3" in page
    assert "left out when reading: 2 x choices are missing" in page
