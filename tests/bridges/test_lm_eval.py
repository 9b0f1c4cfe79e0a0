"""Results of lm-evaluation-harness in our form; its model class on our policy needs PREFLAB_LM_EVAL_PYTHON."""

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from preflab.bridges import lm_eval
from preflab.bridges.lm_eval import evaluate, results_of
from preflab.errors import ConfigError, RunError
from preflab.maths.statistics import Estimate
from preflab.recipes.evaluate import SCALES
from preflab.run import Run
from tests.bridges.interpreters import interpreter, told_by

PROGRAM = Path(__file__).with_name("lm_eval_program.py")
FOUND: dict[str, Any] = {
    "results": {
        "colours": {"alias": "colours", "acc,none": 0.75, "acc_stderr,none": 0.25, "acc_norm,none": 0.5},
        "tongues": {"alias": "tongues", "bleu,strip": 20.0, "bleu_stderr,strip": 2.0, "word_perplexity,none": 9.0},
        "both": {"alias": "both", "acc,none": 0.6},
    },
    "n-samples": {"colours": {"original": 9, "effective": 4}, "tongues": {"original": 3, "effective": 3}},
    "higher_is_better": {
        "colours": {"acc": True, "acc_norm": True},
        "tongues": {"bleu": True, "word_perplexity": False},
    },
    "n-shot": {"colours": 0, "tongues": 5},
    "versions": {"colours": 1.0},
    "lm_eval_version": "0",
}


def test_metrics_become_measures_with_normal_intervals() -> None:
    found = results_of(FOUND, limit=4)
    by = {m["name"]: m for m in found["measures"]}
    assert list(by) == ["colours acc", "colours acc_norm", "tongues bleu (strip)", "tongues word_perplexity"]
    accuracy = by["colours acc"]["estimate"]
    # 0.75 -+ 1.96 * 0.25 = 0.26 and 1.24, and no share is above 1
    assert accuracy["value"] == 0.75 and math.isclose(accuracy["low"], 0.26, abs_tol=1e-4) and accuracy["high"] == 1.0
    assert by["colours acc"]["unit"] == "share" and by["tongues bleu (strip)"]["unit"] == "score"
    assert by["tongues word_perplexity"]["better"] == "lower" and by["colours acc"]["better"] == "higher"
    assert (found["items"], found["scored"], found["way"]) == (7, 7, "colours, tongues")
    assert found["asked"] == {"tasks": ["colours", "tongues"], "limit": 4, "shots": [0, 5]}


def test_a_metric_without_a_standard_error_has_an_interval_without_ends() -> None:
    own = results_of(FOUND)["measures"]
    bounds = {m["name"]: (m["estimate"]["low"], m["estimate"]["high"]) for m in own}
    assert bounds["tongues word_perplexity"] == (None, None)  # JSON has no infinity
    assert bounds["colours acc_norm"] == (0.0, 1.0)
    assert Estimate.from_json(own[3]["estimate"]).high == math.inf


def test_without_lm_eval_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ConfigError, match=r"preflab\[lm-eval\]"):
        evaluate("tiny", ["colours"])
    assert lm_eval.main(["tiny", "--tasks", "colours"]) == 2
    assert "extra 'lm-eval'" in capsys.readouterr().err


def test_the_harness_runs_on_our_policy_with_the_numbers_of_its_own_class(tmp_path: Path) -> None:
    found = told_by(interpreter("LM_EVAL"), PROGRAM, tmp_path)
    assert found["largest_gap"] < 1e-4 and found["greedy_differ"] == 0 and found["greedy"] > 0
    assert found["largest_rolling_gap"] < 1e-4
    assert found["generated"] == found["generated_by_its_own"]
    assert found["tokens"] < found["tokens_apart"] / 2
    assert found["results"]["colours acc"] == found["results_by_its_own"]
    assert found["kept"]["suite"] == "lm_eval" and found["report"]
    assert "knows no task" in found["unknown"]


def test_numbers_join_no_run_of_another_policy(tmp_path: Path) -> None:
    with Run(tmp_path / "runs" / "r", SCALES["smoke"](), recipe="evaluate", quiet=True) as run:
        run.record("model", name="tiny", digest="abc")
    folder = tmp_path / "runs" / "r"
    lm_eval._check_same_policy(folder, "tiny", "abc")
    with pytest.raises(RunError, match=r"has measured 'tiny' \(digest abc\), not 'other' \(digest def\)"):
        lm_eval._check_same_policy(folder, "other", "def")
