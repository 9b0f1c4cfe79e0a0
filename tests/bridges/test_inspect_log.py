"""Logs of a run. Reading them with Inspect needs PREFLAB_INSPECT_PYTHON."""

import math
from pathlib import Path

import pytest

from preflab.atomic_files import write_json
from preflab.bridges import inspect_log
from preflab.bridges.inspect_log import export, logs_of
from preflab.conversion import to_json
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, RunError
from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, summary, write_items
from preflab.evals.suites.capabilities import mmlu
from preflab.rollouts.requests.types import Failure, OptionLogprobs, OptionScores, Response
from tests.bridges.interpreters import interpreter, told_by

PROGRAM = Path(__file__).with_name("inspect_log_program.py")


def finished_run(folder: Path) -> Path:
    """Two questions answered, one right, and one that was too long."""
    told = []
    answers: list[Response] = [
        OptionScores((-0.1, -3.0), (1, 1)),
        OptionScores((-3.0, -0.1), (1, 1)),
        Failure("too long"),
    ]
    for n, answer in enumerate(answers):
        ask = OptionLogprobs(prompt=Dialogue.of(f"question {n}?"), options=(" A", " B"))
        outcome = {"subject": "law", "correct": float(n == 0)} if isinstance(answer, OptionScores) else None
        failed = None if outcome else "too long"
        told.append(ItemResult(Item(id=f"q{n}", group=f"g{n}", data=None), [([ask], [answer])], outcome, failed))
    write_items(folder / "items" / "mmlu.jsonl", told)
    (folder / "results").mkdir()
    write_json(folder / "results" / "mmlu.json", to_json(summary(mmlu.SUITE, mmlu.SUITE.variant("chat"), told)))
    write_json(folder / "config.json", {"recipe": "evaluate", "config": {"policy": "tiny"}})
    write_json(folder / "record.json", {})  # by this a folder is known for a run
    return folder


def test_a_run_is_read_from_its_folder_alone(tmp_path: Path) -> None:
    ((suite, values),) = logs_of(finished_run(tmp_path))
    assert suite == "mmlu" and values["eval"]["model"] == "preflab/tiny"
    assert values["eval"]["task_args"] == {"variant": "chat"}
    assert values["results"]["scores"][0]["metrics"]["accuracy"]["value"] == 0.5
    assert values["eval"]["created"].endswith("+00:00")


def test_a_folder_without_evaluations_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no items"):
        list(logs_of(tmp_path))


def test_missing_results_are_named(tmp_path: Path) -> None:
    (finished_run(tmp_path) / "results" / "mmlu.json").unlink()
    with pytest.raises(RunError, match=r"mmlu\.json: no such file"):
        list(logs_of(tmp_path))


def test_without_inspect_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(module: str) -> None:
        raise ConfigError(f"{module} is not installed")

    monkeypatch.setattr(inspect_log, "import_extra", missing)
    assert inspect_log.main([str(finished_run(tmp_path))]) == 2
    assert "is not installed" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        export(tmp_path)


def test_inspect_reads_what_was_written(tmp_path: Path) -> None:
    python = interpreter("INSPECT")
    found = told_by(python, PROGRAM, finished_run(tmp_path))
    assert len(found["files"]) == 1
    (own,) = found["logs"].values()
    assert (own["task"], own["status"], own["model"]) == ("preflab/mmlu", "success", "preflab/tiny")
    assert own["metrics"]["accuracy"] == 0.5 and own["unscored"] == 1
    assert own["values"]["q0"] == 1.0 and own["values"]["q1"] == 0.0 and math.isnan(own["values"]["q2"])
    assert own["reasons"]["q2"] == "too long"
    assert own["messages"]["q0"] == ["question 0?", " A"]
    assert sorted(own["summaries"]) == ["q0", "q1", "q2"]
    assert own["outcomes"]["q2"] is None
