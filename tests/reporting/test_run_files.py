"""A run folder is read as it is."""

import json
from pathlib import Path

import pytest

from preflab.errors import RunError
from preflab.maths.statistics import Estimate
from preflab.reporting.run_files import metrics_by_stage, read_results, read_run, restore_estimates


def make_run(folder: Path) -> Path:
    (folder / "results").mkdir(parents=True)
    (folder / "config.json").write_text('{"recipe": "sft", "config": {"seed": 3}}')
    (folder / "results" / "a.json").write_text(json.dumps({"gain": Estimate(1.0, 0.5, 1.5, 9).to_json()}))
    (folder / "results" / "b.json").write_text('{"seconds": 2}')
    (folder / "results" / "b.jsonl").write_text('{"key": "0"}\n')
    return folder


def test_stages_come_in_the_order_in_which_they_finished(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "state.json").write_text('{"done": ["b", "a"]}')
    run = read_run(folder)
    assert (run.recipe, run.config, list(run.results)) == ("sft", {"seed": 3}, ["b", "a"])
    assert run.record == {"made_by": {}, "data": {}, "counts": {}, "model": {}}


def test_estimates_are_restored_wherever_they_stand(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert read_results(folder) == {"a": {"gain": Estimate(1.0, 0.5, 1.5, 9)}, "b": {"seconds": 2}}
    assert list(read_results(folder, ["b", "missing"])) == ["b"]
    inner = {"list": [Estimate(0.0, -1.0, 1.0, 2).to_json()]}
    assert restore_estimates(inner) == {"list": [Estimate(0.0, -1.0, 1.0, 2)]}


def test_a_metric_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    assert metrics_by_stage(folder) == {}
    (folder / "metrics.jsonl").write_text('{"stage": "a", "step": 1}\n{"stage": "b", "step": 1}\n{"stage": "a", "st')
    assert metrics_by_stage(folder) == {"a": [{"stage": "a", "step": 1}], "b": [{"stage": "b", "step": 1}]}


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is this a run folder"):
        read_run(tmp_path)
