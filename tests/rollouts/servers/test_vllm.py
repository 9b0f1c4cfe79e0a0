"""The engine against a server that behaves like vLLM, and against one that misbehaves in every way we know of."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError, DataError, ModelError, SamplerError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import LanguageModel
from preflab.models.roles import Role, Trunk
from preflab.models.tiny import tiny_model, tiny_tokenizer
from preflab.rollouts.encode import Encoder
from preflab.rollouts.engine import Engine, InProcess
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.score import logprob_rows
from preflab.rollouts.servers.remote import ServerConfig
from preflab.rollouts.servers.vllm import VLLMConfig, VLLMEngine, start_command
from tests.fake_vllm import FakeVLLM, refusal

QUICK = VLLMConfig(server=ServerConfig(retries=2, backoff_seconds=0.001, timeout_seconds=10.0))
EIGHT = SamplingConfig(max_new_tokens=8)


@pytest.fixture
def fake() -> Iterator[FakeVLLM]:
    fake = FakeVLLM()
    yield fake
    fake.stop()


LORA = AdapterConfig(rank=4, alpha=8.0)


def trunk(adapters: AdapterConfig | None = LORA) -> Trunk:
    return Trunk(LanguageModel(tiny_model(), tiny_tokenizer(), "tiny", "/models/tiny", ""), adapters)


def stir(role: Role, seed: int, size: float = 0.2) -> Role:
    """Weights that do something."""
    g = torch.Generator().manual_seed(seed)
    state = role.state()
    role.load_state({k: w + size * torch.randn(w.shape, generator=g) for k, w in state.items()})
    return role


@pytest.fixture
def policy() -> Role:
    return stir(trunk().add_role("policy"), seed=1)


def encoder() -> Encoder:
    return Encoder(tiny_tokenizer(), max_tokens=120)


def prompts(*texts: str) -> list[tuple[int, ...]]:
    return [encoder().prompt(Dialogue.of(text)) for text in texts or ("hi", "what now?", "hi")]


@pytest.fixture
def engine(fake: FakeVLLM, tmp_path: Path) -> Iterator[VLLMEngine]:
    engine = VLLMEngine(fake.url, encoder(), tmp_path / "weights", QUICK)
    yield engine
    engine.close()


def gap(role: Role, rollouts: list[list[Rollout]], temperature: float = 1.0) -> float:
    """Largest difference between the rollouts' log-probabilities and the trainer's, nats."""
    rows = [Row.of(rs[0].prompt, *(r.tokens for r in rs)) for rs in rollouts]
    own = logprob_rows(role, rows, temperature=temperature)
    pairs = [(a, r) for row, rs in zip(own, rollouts, strict=True) for a, r in zip(row, rs, strict=True)]
    return max(float((a - torch.tensor(r.logprobs)).abs().max()) for a, r in pairs)


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


def test_no_default_of_the_server_has_a_say(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    engine.push(policy, 0)
    engine.generate(prompts("hi"), EIGHT, n=1, seed=0)
    asked = fake.paths("/v1/completions")[-1]
    neutral = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "temperature": 1.0, "max_tokens": 8}
    assert neutral.items() <= asked.items()


def test_settings_that_vllm_has_too_are_passed_on_and_others_refused(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    engine.push(policy, 0)
    engine.generate(prompts("hi"), SamplingConfig(max_new_tokens=8, max_batch=3), n=1, seed=0)
    neutral = {"top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}
    assert neutral.items() <= fake.paths("/v1/completions")[-1].items()
    some = SamplingConfig(max_new_tokens=8, top_k=5, top_p=0.9, repetition_penalty=1.1)
    engine.generate(prompts("hi"), some, n=1, seed=0)
    assert {"top_p": 0.9, "top_k": 5, "repetition_penalty": 1.1}.items() <= fake.paths("/v1/completions")[-1].items()
    with pytest.raises(ConfigError, match=r"cannot draw with sampling\.no_repeat_ngram=3; leave it off"):
        engine.generate(prompts("hi"), SamplingConfig(max_new_tokens=8, no_repeat_ngram=3), n=1, seed=0)


def test_the_reference_is_the_served_model_itself(engine: VLLMEngine, policy: Role) -> None:
    reference = policy.trunk.reference()
    engine.push(reference, 2)
    found = engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert gap(reference, found) < 1e-4 and {r.version for rs in found for r in rs} == {2}


# versions --------------------------------------------------------------------------------------------------


def test_a_push_renews_the_weights_and_clears_away_the_old_ones(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM, tmp_path: Path
) -> None:
    engine.push(policy, 0)
    old = engine.generate(prompts(), EIGHT, n=2, seed=5)
    others = tmp_path / "somebody-elses"
    shutil.copytree(next((tmp_path / "weights").iterdir()), others)
    fake.load({"lora_name": "somebody-elses", "lora_path": str(others)})
    (tmp_path / "weights" / "notes").mkdir()
    stir(policy, seed=2)
    assert gap(policy, old) > 0.1
    engine.push(policy, 1)
    new = engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert gap(policy, new) < 1e-4 and {r.version for rs in new for r in rs} == {1}
    name = engine.pushed.name if engine.pushed else ""
    assert re.fullmatch(r"policy-v000001-[0-9a-f]{8}", name)
    assert set(fake.adapters) == {name, "somebody-elses"}
    assert {p.name for p in (tmp_path / "weights").iterdir()} == {name, "notes"}


def test_the_same_weights_pushed_again_after_a_kill_keep_their_name(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    engine.push(policy, 4)
    (name,) = fake.adapters
    again = VLLMEngine(fake.url, encoder(), engine.weights.folder, QUICK)
    again.push(policy, 4)
    assert list(fake.adapters) == [name]
    stir(policy, seed=9)  # the same version with other weights: a run that was taken up and went another way
    again.push(policy, 4)
    assert list(fake.adapters) != [name]
    assert gap(policy, again.generate(prompts(), EIGHT, n=1, seed=0)) < 1e-4
    again.close()


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


Choice = dict[str, Any]


def first(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Spoil the first reply; a callable gets what stands there."""

    def mangle(answer: dict[str, Any]) -> dict[str, Any]:
        choice = answer["choices"][0]
        for key, change in changes.items():
            choice[key] = change(choice) if callable(change) else change
        return answer

    return mangle


def with_logprob(value: object) -> Callable[[Choice], Any]:
    return lambda choice: {"token_logprobs": [value, *choice["logprobs"]["token_logprobs"][1:]]}


AMISS: dict[str, tuple[Any, str]] = {
    "no token ids": (first(token_ids=None), "expected 'token_ids'.*not re-tokenizing"),
    "no log-probs": (first(logprobs=None), "expected 'logprobs' with 'token_logprobs'; found none"),
    "fewer tokens": (first(token_ids=lambda c: c["token_ids"][:-1]), "as many log-.* 7 tokens, 8 of them"),
    "nan": (first(logprobs=with_logprob(float("nan"))), "finite log-probabilities of at most 0; found nan"),
    "none": (first(logprobs=with_logprob(None)), r"finite.*found None \(1 such\)"),
    "minus infinity": (first(logprobs=with_logprob(-9999.0)), "finite.*found -9999"),
    "positive": (first(logprobs=with_logprob(0.5)), "finite log-probabilities of at most 0; found 0.5"),
    "another prompt": (first(prompt_token_ids=[1, 2]), "expected the prompt as it was sent; found 2 tokens"),
    "cut short": (
        first(token_ids=lambda c: c["token_ids"][:3], logprobs=lambda c: {"token_logprobs": [-1.0] * 3}),
        "ends with one of .* or has 8 tokens; found 3 tokens.*--generation-config vllm",
    ),
    "too long": (
        first(token_ids=[9] * 9, logprobs={"token_logprobs": [-1.0] * 9}),
        "expected 1 to 8 tokens; found 9",
    ),
    "empty": (first(token_ids=[], logprobs={"token_logprobs": []}), "expected 1 to 8 tokens; found 0"),
    "a reply missing": (lambda a: a | {"choices": a["choices"][:1]}, "replies are missing; expected 2"),
    "no replies": (lambda a: {"object": "text_completion"}, "holds no replies; expected a list 'choices'"),
    "no object": (lambda a: "hello", "holds no replies.*found 'hello'"),
    "malformed": (lambda a: a | {"choices": [7, 8]}, "malformed; expected vLLM's fields"),
}


@pytest.mark.parametrize("what", AMISS)
def test_an_answer_that_cannot_be_trusted_is_refused_with_what_was_expected(
    what: str, engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    engine.push(policy, 0)
    fine = engine.generate(prompts(), EIGHT, n=2, seed=5)
    fake.mangle, message = AMISS[what]
    with pytest.raises(SamplerError, match=message) as error:
        engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert str(error.value).startswith(fake.url)
    assert "vllm serve /models/tiny --enable-lora --max-lora-rank 8" in str(error.value)
    fake.mangle = lambda answer: answer  # and the failed call cost nothing
    assert engine.generate(prompts(), EIGHT, n=2, seed=5) == fine


# servers that were started wrongly -------------------------------------------------------------------------


def test_a_server_that_cannot_load_adapters_is_told_apart(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    fake.runtime_lora = False
    with pytest.raises(SamplerError, match=r"cannot load adapters while it runs.*VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        engine.push(policy, 0)


def test_one_with_too_little_rank(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    fake.max_rank = 2
    with pytest.raises(SamplerError, match=r"--max-lora-rank\); found 500 LoRA rank 4 is greater than max_lora_rank 2"):
        engine.push(policy, 0)
    assert len(fake.paths("/v1/load_lora_adapter")) == 1  # asking again would change nothing


def test_one_that_does_not_see_the_folder(fake: FakeVLLM, policy: Role, tmp_path: Path) -> None:
    engine = VLLMEngine(fake.url, encoder(), tmp_path, replace(QUICK, folder_on_server="/elsewhere/"))
    with pytest.raises(SamplerError, match=r"does not see the folder of adapters; expected /elsewhere/policy-v000000-"):
        engine.push(policy, 0)
    engine.close()
    there = tmp_path / "there"
    there.symlink_to(tmp_path / "here")
    seen = VLLMEngine(fake.url, encoder(), tmp_path / "here", replace(QUICK, folder_on_server=str(there)))
    seen.push(policy, 0)
    seen.push(stir(policy, 2), 1)
    assert [path for path, _ in fake.adapters.values()] == [f"{there}/{seen.pushed.name}"]  # type: ignore[union-attr]
    seen.close()


def test_one_with_too_little_context(policy: Role, tmp_path: Path) -> None:
    fake = FakeVLLM(max_len=64)
    engine = VLLMEngine(fake.url, encoder(), tmp_path, QUICK)
    with pytest.raises(SamplerError, match=r"too little room; expected 120 tokens.*--max-model-len there\); found 64"):
        engine.push(policy, 0)
    engine.close()
    fake.stop()


def test_one_that_serves_another_model_or_several(fake: FakeVLLM, policy: Role, tmp_path: Path) -> None:
    engine = VLLMEngine(fake.url, encoder(), tmp_path, replace(QUICK, model="llama"))
    with pytest.raises(SamplerError, match=r"wrong model; expected it to serve 'llama'; found \['tiny'\]"):
        engine.push(policy, 0)
    engine.close()
    engine = VLLMEngine(fake.url, encoder(), tmp_path, QUICK)
    cards = [{"id": name, "parent": None} for name in ("tiny", "large")]
    fake.before = lambda path, body: (200, {"data": cards}) if path == "/v1/models" else None
    with pytest.raises(SamplerError, match=r"not clear which model.*found \['tiny', 'large'\]"):
        engine.push(policy, 0)
    engine.close()


@pytest.mark.parametrize("said", [(200, "<html>"), (401, {"error": "Unauthorized"}), (200, {"data": [{}]})])
def test_what_is_no_vllm_server_at_all(said: tuple[int, Any], engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    fake.before = lambda path, body: said
    with pytest.raises(SamplerError, match=r"no vLLM server, or it wants a key; expected a list at /v1/models"):
        engine.push(policy, 0)


def test_an_adapter_that_is_loaded_but_not_listed_at_its_folder(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    fake.before = lambda path, body: refusal(400, "has already been loaded") if "load_lora" in path else None
    with pytest.raises(SamplerError, match=r"not what the server lists; expected it at .*found None"):
        engine.push(policy, 0)


# whole models ----------------------------------------------------------------------------------------------


def test_a_whole_model_is_reloaded_from_its_folder_while_nothing_samples(engine: VLLMEngine, fake: FakeVLLM) -> None:
    role = stir(trunk(None).add_role("policy"), seed=1, size=0.05)
    engine.push(role, 5)
    found = engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert gap(role, found) < 1e-4 and gap(role.trunk.reference(), found) > 0.1
    assert {r.version for rs in found for r in rs} == {5}
    posts = [path for method, path, _, _ in fake.asked if method == "POST" and "completions" not in path]
    expected = ["/pause?mode=wait", "/collective_rpc", "/reset_prefix_cache", "/update_weight_version", "/resume"]
    assert posts == expected
    fake.stop()
    fake.start()  # with its old weights
    assert engine.generate(prompts(), EIGHT, n=2, seed=5) == found
    assert fake.version == engine.pushed.name  # type: ignore[union-attr]


def test_weights_changed_by_somebody_else_meanwhile_are_noticed(engine: VLLMEngine, fake: FakeVLLM) -> None:
    engine.push(trunk(None).add_role("policy"), 0)

    def meddle(path: str, body: Any) -> None:
        if path == "/v1/completions":
            fake.version = "mine"

    fake.before = meddle
    with pytest.raises(
        SamplerError, match=r"changed weights while it sampled; expected 'policy-v000000-.*found 'mine'"
    ):
        engine.generate(prompts(), EIGHT, n=1, seed=5)


def test_a_reload_that_leaves_the_output_layer_behind_is_caught(engine: VLLMEngine, fake: FakeVLLM) -> None:
    fake.tied_head_stays = True
    with pytest.raises(SamplerError, match="not all of what was pushed"):
        engine.push(stir(trunk(None).add_role("policy"), seed=1, size=0.01), 0)


def test_whole_models_need_the_developers_endpoints(engine: VLLMEngine, fake: FakeVLLM) -> None:
    fake.dev = False
    expected = r"cannot renew whole models; .*VLLM_SERVER_DEV_MODE=1.*Adapters need neither"
    with pytest.raises(SamplerError, match=expected):
        engine.push(trunk(None).add_role("policy"), 0)
    fake.dev = True
    fake.before = lambda path, body: refusal(500, "no such folder") if path == "/collective_rpc" else None
    with pytest.raises(SamplerError, match=r"/collective_rpc failed; .*no such folder"):
        engine.push(trunk(None).add_role("policy"), 0)
    assert not fake.paused


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
