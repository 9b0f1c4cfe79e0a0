"""The stages of ``sft`` on a tiny random model: from comparisons and from dialogues."""

import json
from pathlib import Path

import pytest

from tests.killing import Nursery, results
from tests.recipes.sft.command import SMALL


def test_unseen_replies_are_measured_before_after_and_after_each_pass(finished: Path) -> None:
    own = results(finished)["sft"]
    assert own["before"]["value"] - own["after"]["value"] == pytest.approx(own["gain"]["value"])
    assert own["gain"]["value"] > 0
    assert len(own["epochs"]) == 2
    assert own["epochs"][-1] == pytest.approx(own["after"]["value"], rel=1e-6)
    assert [v["claim"] for v in own["verdicts"]] == ["unseen replies become more probable"]


def test_steps_report_the_tokens_they_ran(finished: Path) -> None:
    found = results(finished)
    steps = found["metrics"]
    assert sum(m["n_tokens"] for m in steps) == 2 * found["data"]["tokens"]["train"] == found["sft"]["trained_tokens"]
    assert sum(m["reply_tokens"] for m in steps) == 2 * found["data"]["reply_tokens"]["train"]


def test_dialogues_are_learned_from_every_turn_or_the_last(nursery: Nursery, tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl"
    roles = ["user", "assistant"]
    records = [[f"hello {i}", "hi", "sing", "la la"] for i in range(12)]
    path.write_text(
        "".join(
            json.dumps({"messages": [{"role": roles[k % 2], "content": t} for k, t in enumerate(turns)]}) + "\n"
            for turns in records
        )
    )
    replies = {}
    for last in ("false", "true"):
        own = [*SMALL, "--set", f"dialogues={path}", "--set", f"last_turn_only={last}", "--runs", str(tmp_path)]
        nursery.run([*own, "--name", f"last-{last}"], tmp_path / "out.txt")
        found = results(tmp_path / f"last-{last}")
        replies[last] = sum(found["data"]["replies"].values())
        assert sum(found["data"]["rows"].values()) == 12
        prompts = [example["prompt"] for example in found["measure"]["examples"]]
        assert [len(prompt) for prompt in prompts] == [3] * len(prompts)  # up to the last reply
    assert replies == {"false": 24, "true": 12}


def test_the_policy_loads_elsewhere(finished: Path) -> None:
    from transformers import AutoModelForCausalLM

    assert AutoModelForCausalLM.from_pretrained(finished / "policy").num_parameters() > 0
