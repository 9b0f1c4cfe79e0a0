"""Two runs of ``evaluate`` held against one another."""

import json
from pathlib import Path

import pytest

from preflab.atomic_files import read_json
from preflab.cli import main
from preflab.recipes.evaluate.compare import compare_runs
from tests.recipes.evaluate.command import evaluate


def test_two_measured_models_are_compared(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data), name=name)
    runs = tmp_path / "runs"
    lines = [json.loads(line) for line in (runs / "b" / "items" / "mmlu.zero-shot.jsonl").read_text().splitlines()]
    for line in lines:
        line["outcome"]["correct"] = 1.0
    (runs / "b" / "items" / "mmlu.zero-shot.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = compare_runs("a", "b", runs=str(runs))
    gap = found.suites["mmlu.zero-shot"].differences[0].gap
    was = read_json(runs / "a" / "results" / "mmlu.zero-shot.json")["measures"][0]["estimate"]["value"]
    assert gap is not None
    assert gap.value == pytest.approx(1 - was)
    capsys.readouterr()
    assert main(["compare", "a", "b", "--runs", str(runs)]) == 0
    shown = capsys.readouterr().out
    assert "b against a" in shown
    page = (runs / "compare-a-b.html").read_text()
    assert "mmlu.zero-shot" in page
    assert main(["compare", "a", "b", "--runs", str(runs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["suites"]["mmlu.zero-shot"]["common"] == 4


def test_a_model_that_was_not_measured_cannot_be_compared(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(tmp_path, "--suite", "mmlu:zero-shot", "--data", str(data))
    assert main(["compare", "e", "smollm2", "--runs", str(tmp_path / "runs")]) == 5
    assert "no run 'smollm2'" in capsys.readouterr().err
