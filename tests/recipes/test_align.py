"""The main job on a tiny random model: everything it leaves behind, a kill at random moments, no network."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.killing import OFTEN, Nursery, assert_same_end, results

SMOKE = ["align", "--scale", "smoke", "--max-comparisons", "24", "--name", "r"]

NO_NETWORK = """
import socket, sys
class Refused(socket.socket):
    def __init__(self, family=-1, *a, **k):
        if family != socket.AF_UNIX:
            raise AssertionError("a socket was opened")
        super().__init__(family, *a, **k)
socket.socket = Refused
def refuse(*a, **k):
    raise AssertionError("a lookup was made")
socket.create_connection = socket.getaddrinfo = refuse
"""


def command(home: Path, *arguments: str, before: str = "") -> tuple[list[str], dict[str, str]]:
    code = f"{before}\nimport sys\nfrom preflab.cli import main\nsys.exit(main())"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    return [sys.executable, "-c", code, *arguments, "--runs", str(home / "runs")], environment


def run(home: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    line, environment = command(home, *arguments, before=before)
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One unbroken smoke run, with sockets refused and a checkpoint after every step."""
    home = tmp_path_factory.mktemp("unbroken")
    done = run(home, *SMOKE, before=NO_NETWORK + OFTEN)
    assert done.returncode == 0, done.stderr
    return home / "runs" / "r"


def test_a_run_leaves_settings_record_metrics_results_models_and_a_report(finished: Path) -> None:
    there = {p.name for p in finished.iterdir()}
    assert {"config.json", "record.json", "metrics.jsonl", "results", "checkpoints", "report.html"} <= there
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
    done = run(tmp_path, *SMOKE, "--set", "model.full_finetune=true", "--set", "value_model=model")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "r" / "policy").is_dir()


def test_another_algorithm_with_an_average_and_pretraining_mixed_in_takes_the_same_road(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("The lamp is lit, and the road goes on. " * 40)
    asked = ["algorithm=rloo", "rloo.ema_decay=0.5", "rloo.ptx.coefficient=2", "rloo.ptx.ratio=1"]
    asked += ["rloo.ptx.example_tokens=64", f"pretraining={tmp_path / 'text.txt'}"]
    done = run(tmp_path, *SMOKE, *(word for one in asked for word in ("--set", one)))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "r"
    steps = [m for m in results(folder)["metrics"] if m["stage"] == "ppo"]  # type: ignore[attr-defined]
    assert all(m["ptx_loss"] > 0 and "value_loss" not in m for m in steps)
    last, average = (load_file(folder / "checkpoints" / f"{n}.safetensors") for n in ("policy_last", "policy"))
    assert any(not torch.equal(last[k], average[k]) for k in average)
    assert json.loads((folder / "record.json").read_text())["pretraining"]["documents"] == 1
    assert "RLOO raises the score" in (folder / "results" / "measure.json").read_text()
    assert "read RLOO" in (folder / "report.html").read_text()


def test_settings_that_cannot_be_meant_are_refused() -> None:
    from preflab.config_overrides import apply_overrides
    from preflab.errors import ConfigError
    from preflab.recipes.align import smoke

    for overrides, message in (
        ({"ppo.ptx.coefficient": 1.0}, "go together"),
        ({"pretraining": "text.txt"}, "go together"),
        ({"algorithm": "grpo"}, "one of ppo, rloo, reinforce"),
        ({"ppo.measure_kl": False, "ppo.kl_coefficient": 0.0, "ppo.kl_limit": None}, "needs KL"),
        ({"rloo.sampling.max_new_tokens": 3}, "is not read"),
    ):
        with pytest.raises(ConfigError, match=message):
            apply_overrides(smoke(), overrides)


def test_the_smoke_run_takes_under_a_minute(tmp_path: Path) -> None:
    started = time.monotonic()
    done = run(tmp_path, *SMOKE)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 60
