"""The engine against a server that behaves like vLLM, and against one that misbehaves in every way we know of."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from preflab.errors import ConfigError, DataError, ModelError, SamplerError
from preflab.models.roles import Role
from preflab.models.tiny import tiny_model
from preflab.rollouts.engine import Engine, InProcess
from preflab.rollouts.servers.remote import ServerConfig
from preflab.rollouts.servers.vllm import VLLMConfig, VLLMEngine, start_command
from tests.fake_vllm import FakeVLLM, refusal
from tests.rollouts.servers.vllm_parts import EIGHT, QUICK, encoder, gap, prompts, stir

# the contract ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_replies_come_in_order_with_the_trainers_own_log_probabilities(
    engine: VLLMEngine, policy: Role, temperature: float
) -> None:
    engine.push(policy, 3)
    found = engine.generate(prompts(), replace(EIGHT, temperature=temperature), n=3, seed=5)
    assert isinstance(engine, Engine)
    assert [[r.prompt for r in rs] for rs in found] == [[p] * 3 for p in prompts()]
    assert {r.version for rs in found for r in rs} == {3}
    assert gap(policy, found, temperature) < 1e-4
    assert gap(policy.trunk.reference(), found, temperature) > 0.1  # so the adapter counts


def test_greedy_replies_are_those_of_this_process(engine: VLLMEngine, policy: Role) -> None:
    engine.push(policy, 0)
    greedy = replace(EIGHT, temperature=0.0)
    there = engine.generate(prompts(), greedy, n=1, seed=0)
    here = InProcess(policy, encoder()).generate(prompts(), greedy, n=1, seed=0)
    assert [[r.tokens for r in rs] for rs in there] == [[r.tokens for r in rs] for rs in here]
    assert gap(policy, there) < 1e-4


def test_a_stop_token_ends_a_reply_and_nothing_else_does(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    engine.push(policy, 0)
    found = engine.generate(prompts(*"abcdefgh"), replace(EIGHT, temperature=2.0, max_new_tokens=40), n=8, seed=1)
    flat = [r for rs in found for r in rs]
    ends = set(encoder().stop_ids)
    assert {r.finished for r in flat} == {True, False}
    for r in flat:
        assert r.finished == (r.tokens[-1] in ends) and not ends & set(r.tokens[:-1])
        assert r.finished or len(r.tokens) == 40
    asked = fake.paths("/v1/completions")[-1]
    assert asked["ignore_eos"] and asked["stop_token_ids"] == sorted(ends)


def test_the_same_seed_gives_the_same_draws_and_each_prompt_has_its_own(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM, tmp_path: Path
) -> None:
    engine.push(policy, 0)
    first = engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert engine.generate(prompts(), EIGHT, n=2, seed=5) == first
    assert engine.generate(prompts(), EIGHT, n=2, seed=6) != first
    assert [r.tokens for r in first[0]] != [r.tokens for r in first[2]]  # both prompts are "hi"
    seeds = [body["seed"] for body in fake.paths("/v1/completions")[-3:]]
    assert min(abs(a - b) for a in seeds for b in seeds if a != b) > 1_000  # vLLM counts up from them
    one_by_one = VLLMEngine(fake.url, encoder(), tmp_path / "w", replace(QUICK, server=ServerConfig(concurrency=1)))
    one_by_one.push(policy, 0)
    assert one_by_one.generate(prompts(), EIGHT, n=2, seed=5) == first
    one_by_one.close()


def test_the_reference_is_the_served_model_itself(engine: VLLMEngine, policy: Role) -> None:
    reference = policy.trunk.reference()
    engine.push(reference, 2)
    found = engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert gap(reference, found) < 1e-4 and {r.version for rs in found for r in rs} == {2}


# versions --------------------------------------------------------------------------------------------------


def test_the_server_may_lag_as_far_as_the_limit_and_no_further(fake: FakeVLLM, policy: Role, tmp_path: Path) -> None:
    engine = VLLMEngine(fake.url, encoder(), tmp_path, replace(QUICK, max_staleness=2))
    drawn = []
    for version in range(6):
        stir(policy, seed=version)
        engine.push(policy, version)
        drawn.append(engine.generate(prompts("hi"), EIGHT, n=1, seed=0)[0][0].version)
    assert drawn == [0, 0, 0, 3, 3, 3]
    assert len(fake.paths("/v1/load_lora_adapter")) == 2
    engine.push(policy, 1)  # the trainer went back: a run taken up from an earlier checkpoint
    assert engine.generate(prompts("hi"), EIGHT, n=1, seed=0)[0][0].version == 1
    engine.close()


def test_nothing_is_sampled_before_a_push_or_after_one_that_failed(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    with pytest.raises(ConfigError, match="push a role's first"):
        engine.generate(prompts(), EIGHT, n=1, seed=0)
    engine.push(policy, 0)
    fake.before = lambda path, body: refusal(500, "out of memory") if "load_lora" in path else None
    with pytest.raises(SamplerError, match="refuses adapter 'policy-v000001"):
        engine.push(stir(policy, 2), 1)
    with pytest.raises(SamplerError, match=r"stale; expected version 1, or at most 0 behind.*the last push failed"):
        engine.generate(prompts(), EIGHT, n=1, seed=0)


def test_replies_drawn_with_other_weights_are_refused(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    engine.push(policy, 7)
    fake.mangle = lambda answer: answer | {"model": "policy-v000006-00000000"}
    expected = r"other weights; expected 'model' to say 'policy-v000007-\w{8}' \(version 7\); found 'policy-v000006-0"
    with pytest.raises(SamplerError, match=expected):
        engine.generate(prompts(), EIGHT, n=1, seed=0)


# a server that was started again ---------------------------------------------------------------------------


def test_a_server_that_was_started_again_gets_its_weights_back(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    engine.push(policy, 2)
    before = engine.generate(prompts(), EIGHT, n=2, seed=5)
    fake.stop()
    with pytest.raises(SamplerError, match="nothing answers there"):
        engine.generate(prompts(), EIGHT, n=2, seed=5)
    fake.start()
    assert not fake.adapters
    assert engine.generate(prompts(), EIGHT, n=2, seed=5) == before


def test_also_when_it_happens_between_two_requests(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    engine.push(policy, 2)
    before = engine.generate(prompts(), EIGHT, n=2, seed=5)
    asked = len(fake.paths("/v1/completions"))

    def forget(path: str, body: Any) -> None:
        if path == "/v1/completions" and len(fake.paths(path)) == asked + 2:
            fake.adapters.clear()

    fake.before = forget
    assert engine.generate(prompts(), EIGHT, n=2, seed=5) == before


# what must not go unnoticed --------------------------------------------------------------------------------


def deaf(fake: FakeVLLM) -> None:
    fake.deaf = True


def too_strong(fake: FakeVLLM) -> None:
    fake.strength = 1.5


def another(fake: FakeVLLM) -> None:
    fake.model = tiny_model(seed=1)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [(deaf, "not all of what was pushed"), (too_strong, "not all of what"), (another, "base model is another")],
)
def test_a_push_is_checked_by_what_the_server_then_says(
    spoil: Callable[[FakeVLLM], None], found: str, engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    spoil(fake)
    with pytest.raises(SamplerError, match=rf"does not play the weights .*{found}"):
        engine.push(policy, 0)


def test_a_wrong_adapter_file_is_caught(engine: VLLMEngine, policy: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    from preflab.rollouts.servers import vllm_weights

    def wrong(role: Role, folder: Path) -> Path:
        kept = role.state()
        role.load_state({k: w * (-1 if ".lora_B." in k and ".q_proj." in k else 1) for k, w in kept.items()})
        save(role, folder)
        role.load_state(kept)
        return folder

    save = vllm_weights.save_adapter
    monkeypatch.setattr(vllm_weights, "save_adapter", wrong)
    with pytest.raises(SamplerError, match="not all of what was pushed"):
        engine.push(policy, 0)


def test_a_small_gap_is_measured_against_the_rounding_of_the_model_as_it_was_loaded(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    """An adapter that hardly does anything yet moves log-probabilities by less than ``probe_limit``."""
    role = stir(policy.trunk.add_role("young"), seed=3, size=0.03)
    fake.strength = 0.0
    with pytest.raises(SamplerError, match=r"within 0\.005 nats"):
        engine.push(role, 0)
    assert engine.base_gap < 1e-4
    fake.strength = 1.0
    engine.push(role, 1)
    assert engine.probe_gap < 1e-4


def test_log_probabilities_from_before_the_temperature_are_caught(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    fake.raw_logprobs = True
    with pytest.raises(SamplerError, match=r"before the temperature; .*--logprobs-mode processed_logprobs"):
        engine.push(policy, 0)


# servers that were started wrongly -------------------------------------------------------------------------


# whole models ----------------------------------------------------------------------------------------------


# requests that are ours to refuse --------------------------------------------------------------------------


def test_prompts_that_do_not_fit_are_refused_before_anything_is_sent(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    engine.push(policy, 0)
    sent = len(fake.asked)
    for wrong in ((), (5,) * 113):
        with pytest.raises(DataError, match="prompt 1 has"):
            engine.generate([(5, 6), wrong], EIGHT, n=1, seed=0)
    assert len(fake.asked) == sent
    assert engine.generate([(5,) * 112], EIGHT, n=1, seed=0)[0][0].version == 0
    assert engine.generate([], EIGHT, n=1, seed=0) == []


def test_roles_and_versions_that_mean_nothing_are_refused(engine: VLLMEngine, policy: Role) -> None:
    policy.trunk.add_role("pm", head=True)
    with pytest.raises(ModelError, match="only a head"):
        engine.push(policy.trunk.add_head("value", on="pm"), 0)
    with pytest.raises(ConfigError, match="from 0, got -1"):
        engine.push(policy, -1)
    with pytest.raises(ConfigError, match="max_staleness"):
        VLLMConfig(max_staleness=-1)
    with pytest.raises(ConfigError, match="no address"):
        VLLMEngine("in-process", encoder(), Path("x"))


def test_the_command_that_starts_a_server_names_what_is_needed() -> None:
    assert start_command("m", rank=20, max_tokens=512) == (
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve m --enable-lora --max-lora-rank 32 --max-model-len 512 "
        "--logprobs-mode processed_logprobs --generation-config vllm"
    )
    assert start_command("m").startswith("VLLM_SERVER_DEV_MODE=1 vllm serve m --logprobs-mode")


# several processes -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_two_processes_the_first_speaks_with_the_server_and_both_have_its_answers(
    fake: FakeVLLM, tmp_path: Path
) -> None:
    program = Path(__file__).with_name("vllm_ranks_program.py")
    root = str(Path(__file__).parents[3])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root, "PYTHONWARNINGS": "ignore"}
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(program), fake.url]
    done = subprocess.run([*line, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    for name in ("adapter", "whole"):
        first, second = (torch.load(tmp_path / f"{name}{rank}.pt") for rank in (0, 1))
        assert first == second and {version for rs in first for _, version in rs} == {3}
    errors = {(tmp_path / f"error{rank}").read_text() for rank in (0, 1)}
    assert len(errors) == 1 and "http://127.0.0.1:9: GET /v1/models failed" in errors.pop()
    assert len(fake.paths("/v1/load_lora_adapter")) == 1 and len(fake.paths("/collective_rpc")) == 1
