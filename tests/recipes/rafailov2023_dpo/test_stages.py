"""The stages of ``rafailov2023_dpo`` on a tiny random model, with and without SFT and a held-out preference model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from preflab.atomic_files import read_json
from preflab.data.rows import Row, collate
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.models.tiny import tiny_model
from preflab.run import read_metrics
from tests.killing import Nursery, results
from tests.recipes.rafailov2023_dpo.command import SMALL


def test_a_run_leaves_settings_record_metrics_results_policy_and_report(finished: Path) -> None:
    there = {p.name for p in finished.iterdir()}
    assert {"config.json", "record.json", "metrics.jsonl", "results", "checkpoints", "policy", "report.html"} <= there
    found = results(finished)
    assert set(found) >= {"data", "preference_judge", "sft", "dpo", "measure", "export"}
    assert {m["stage"] for m in found["metrics"]} == {"preference_judge", "sft", "dpo"}
    steps = [m for m in found["metrics"] if m["stage"] == "dpo"]
    assert found["dpo"]["trained_tokens"] == sum(m["n_tokens"] for m in steps)
    assert {"loss", "accuracy", "margin", "chosen_reward", "rejected_reward", "chosen_logp", "n_tokens"} <= steps[
        0
    ].keys()


def test_implicit_rewards_are_measured_with_intervals_against_baselines(finished: Path) -> None:
    own = results(finished)["dpo"]
    assert own["accuracy"]["low"] <= own["accuracy"]["value"] <= own["accuracy"]["high"]
    assert set(own["baselines"]) == {"length", "bag of words", "reference likelihood"}
    assert [v["outcome"] in ("holds", "fails", "undecided") for v in own["verdicts"]] == [True] * 4


def test_the_policy_is_compared_with_its_reference(finished: Path) -> None:
    own = results(finished)["measure"]
    assert len(own["examples"]) == 3
    assert own["kl"]["n"] == own["win_rate"]["n"] == 6
    assert len(own["verdicts"]) == 2
    assert set(own["examples"][0]["judge"]) == {"before", "after"}


def test_the_saved_policy_is_the_trained_one(finished: Path) -> None:
    ids = torch.arange(5, 25)[None]
    role = Trunk(load_language_model("tiny", precision="fp32"), AdapterConfig(rank=4, alpha=8.0)).add_role("policy")
    role.load_state(dict(load_file(finished / "checkpoints" / "policy.safetensors")))
    saved = AutoModelForCausalLM.from_pretrained(finished / "policy")
    with torch.no_grad():
        ours = saved(input_ids=ids).logits
        assert (ours - tiny_model()(input_ids=ids).logits).abs().max() > 1e-4  # it has moved
        logp, _ = role.logprobs(collate([Row.of(ids[0, :10].tolist(), ids[0, 10:].tolist())]))
    expected = ours.log_softmax(-1)[0, 9:19].gather(-1, ids[0, 10:, None]).squeeze(-1)
    torch.testing.assert_close(logp, expected, rtol=1e-4, atol=1e-5)


def test_without_judge_there_is_no_win_rate_and_ipo_takes_the_same_road(nursery: Nursery, tmp_path: Path) -> None:
    more = ["--set", "held_out_pm_share=0", "--set", "dpo.loss=ipo", "--set", "model.full_finetune=true"]
    nursery.run([*SMALL, *more, "--runs", str(tmp_path), "--name", "r"], tmp_path / "out.txt")
    found = results(tmp_path / "r")
    assert "preference_judge" not in found
    assert found["measure"]["win_rate"] is None and found["measure"]["win_rate_by_category"] == {}
    assert set(found["data"]["comparisons"]) == {"train", "held_out"}
    assert found["metrics"][0]["loss"] == pytest.approx(25.0, rel=1e-3)  # 1 / (2 * 0.1), squared
    page = (tmp_path / "r" / "report.html").read_text()
    assert "with IPO" in page
    assert "The run is complete." in page


def test_dialogues_judged_at_several_turns_are_rows_of_several_comparisons(nursery: Nursery, tmp_path: Path) -> None:
    def turn(prompt: list[str], chosen: str) -> dict[str, Any]:
        roles = ["user", "assistant"]
        messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(prompt)]
        return {"prompt": messages, "replies": [chosen, "no"], "ranks": [0, 1]}

    records = []
    for i in range(12):
        records += [turn([f"hello {i}"], "hi"), turn([f"hello {i}", "hi", "sing"], "la la")]
    path = tmp_path / "turns.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    own = [*SMALL, "--set", f"data.comparisons={path}", "--set", "held_out_pm_share=0", "--runs", str(tmp_path)]
    tokens = {}
    for name, trees in (("trees", "true"), ("apart", "false")):
        nursery.run([*own, "--set", f"trees={trees}", "--name", name], tmp_path / "out.txt")
        first = read_metrics(tmp_path / name, "dpo")[0]
        found = read_json(tmp_path / name / "results" / "dpo.json")
        tokens[name] = (found["rows"], found["trained_tokens"])
        assert first["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert tokens["trees"][0] * 2 == tokens["apart"][0]
    assert tokens["trees"][1] < tokens["apart"][1]
