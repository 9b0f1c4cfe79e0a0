"""The main job on a tiny random model: everything it leaves behind, a kill at random moments, no network."""

import json
import random
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.killing import Nursery, assert_same_end, results
from tests.recipes.align.command import SMOKE, run


def test_a_run_leaves_settings_record_metrics_results_models_and_a_report(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"config.json", "record.json", "metrics.jsonl", "results", "checkpoints", "report.html"} <= names
    record = json.loads((finished / "record.json").read_text())
    assert record["data"]["digest"].startswith("sha256:")
    assert len(record["model"]["sha256"]) == 64
    assert record["counts"]["train"] == {"shortened": 0, "refused": []}
    stages = {m["stage"] for m in results(finished)["metrics"]}  # type: ignore[attr-defined, union-attr]
    assert stages == {"preference", "preference_judge", "ppo"}


def test_no_prompt_is_trained_on_and_measured_on(finished: Path) -> None:
    measured = {m["prompt"][-1]["content"] for m in results(finished)["measure"]["examples"]}  # type: ignore[index]
    assert measured
    data = results(finished)["data"]
    assert sum(data["comparisons"].values()) == 24  # type: ignore[index]


def test_the_saved_models_load_elsewhere_with_the_scores_of_the_run(finished: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    policy = AutoModelForCausalLM.from_pretrained(finished / "policy")
    assert policy.num_parameters() > 0
    model = AutoModelForSequenceClassification.from_pretrained(finished / "preference_model")
    tokenizer = AutoTokenizer.from_pretrained(finished / "preference_model")
    base = json.loads((finished / "results" / "best_of_n.json").read_text())["base"]
    examples = json.loads((finished / "results" / "measure.json").read_text())["examples"]
    for example, text, score in list(zip(examples, base["texts"], base["pm"], strict=True))[:4]:
        prompt = tokenizer.apply_chat_template(example["prompt"], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(prompt + text + "<|end|>", add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            assert model(input_ids=ids).logits.item() == pytest.approx(score, abs=1e-4)


def test_starting_a_finished_run_again_changes_nothing(finished: Path) -> None:
    before = results(finished)
    again = run(finished.parents[1], *SMOKE)
    assert again.returncode == 0, again.stderr
    assert results(finished) == before


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_moments_ends_bit_for_bit_where_the_unbroken_one_ends(
    finished: Path, nursery: Nursery, tmp_path: Path, seed: int
) -> None:
    arguments = [*SMOKE, "--quiet", "--runs", str(tmp_path / "runs")]
    assert nursery.run_with_kills(arguments, tmp_path / "out.txt", random.Random(seed), cpu_seconds=5.0) > 0
    assert_same_end(tmp_path / "runs" / "r", finished)


def test_a_run_stopped_early_goes_on_with_a_later_until(tmp_path: Path) -> None:
    first = run(tmp_path, *SMOKE, "--until", "preference")
    assert first.returncode == 0, first.stderr
    folder = tmp_path / "runs" / "r"
    assert (folder / "preference_model").is_dir()
    assert not (folder / "policy").exists()
    assert (folder / "report.html").exists()
    second = run(tmp_path, *SMOKE)
    assert second.returncode == 0, second.stderr
    assert (folder / "policy").is_dir()


def test_full_weights_take_the_same_road(tmp_path: Path) -> None:
    process = run(tmp_path, *SMOKE, "--set", "model.full_finetune=true", "--set", "value_model=model")
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "runs" / "r" / "policy").is_dir()


def test_another_algorithm_with_an_average_and_pretraining_mixed_in_takes_the_same_road(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("The lamp is lit, and the road goes on. " * 40)
    settings = ["algorithm=rloo", "rloo.ema_decay=0.5", "rloo.ptx.coefficient=2", "rloo.ptx.ratio=1"]
    settings += ["rloo.ptx.example_tokens=64", f"pretraining={tmp_path / 'text.txt'}"]
    process = run(tmp_path, *SMOKE, *(argument for setting in settings for argument in ("--set", setting)))
    assert process.returncode == 0, process.stderr
    folder = tmp_path / "runs" / "r"
    steps = [m for m in results(folder)["metrics"] if m["stage"] == "ppo"]  # type: ignore[attr-defined]
    assert all(m["ptx_loss"] > 0 and "value_loss" not in m for m in steps)
    last, average = (load_file(folder / "checkpoints" / f"{n}.safetensors") for n in ("policy_last", "policy"))
    assert any(not torch.equal(last[k], average[k]) for k in average)
    assert json.loads((folder / "record.json").read_text())["pretraining"]["documents"] == 1
    assert "RLOO raises the score" in (folder / "results" / "measure.json").read_text()
    assert "read RLOO" in (folder / "report.html").read_text()


def test_the_smoke_run_takes_under_a_minute(tmp_path: Path) -> None:
    started = time.monotonic()
    process = run(tmp_path, *SMOKE)
    assert process.returncode == 0, process.stderr
    assert time.monotonic() - started < 60
