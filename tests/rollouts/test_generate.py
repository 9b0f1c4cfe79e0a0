"""Sampling against transformers' own, against one prompt at a time, and against the trainer's numbers."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPT2Config, GPT2LMHeadModel

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, collate
from preflab.errors import ConfigError, DataError, ModelError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.roles import Role, Trunk
from preflab.models.smollm2 import cache_folder
from preflab.models.tiny import tiny_model, tiny_tokenizer
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import ReplySampler, Rollout, SamplingConfig, generate

STORIES = Path(__file__).parents[3] / "shared/data/models/stories260k"
MODELS = [
    "tiny",
    "gpt2",
    pytest.param(
        str(STORIES),
        id="stories",
        marks=pytest.mark.skipif(not STORIES.is_dir(), reason="stories260k is not beside the repository"),
    ),
]
GREEDY = SamplingConfig(max_new_tokens=12, temperature=0.0)


@cache
def source(name: str) -> LanguageModel:
    if name != "gpt2":
        return load_language_model(name, precision="fp32")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPT2Config(vocab_size=261, n_embd=16, n_layer=2, n_head=2, n_positions=128, initializer_range=0.5)
        return LanguageModel(GPT2LMHeadModel(config).eval(), tiny_tokenizer(), name, "", "")


@cache
def roles(name: str) -> tuple[Role, Encoder]:
    """A policy whose adapter does something, and another role to get in its way."""
    made = LanguageModel(tiny_model(), tiny_tokenizer(), name, "", "") if name == "tiny" else source(name)
    trunk = Trunk(made, AdapterConfig(rank=2, alpha=4.0))
    role = trunk.add_role("policy")
    trunk.add_role("other", head=True)
    g = torch.Generator().manual_seed(0)
    role.load_state({k: 0.1 * torch.randn(w.shape, generator=g) for k, w in role.state().items()})
    return role, Encoder(made.tokenizer, max_tokens=120)


def prompts(encoder: Encoder) -> list[tuple[int, ...]]:
    texts = ["Once upon a time", "a", "The little dog saw a big cat and", "hi", "Lily said", "a"]
    return [encoder.prompt(Dialogue.of(text)) for text in texts]


def trainer_logprobs(role: Role, rollout: Rollout, temperature: float) -> Tensor:
    with torch.no_grad():
        return role.logprobs(collate([Row.of(rollout.prompt, rollout.tokens)]), temperature=temperature)[0]


# greedy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("bare", [True, False])
def test_greedy_tokens_are_those_of_transformers(name: str, bare: bool) -> None:
    role, encoder = roles(name)
    given = prompts(encoder)
    seen = role.trunk.reference() if bare else role
    found = generate(seen, given, encoder, GREEDY)
    for prompt, (rollout,) in zip(given, found, strict=True):
        with role.trunk.activate(seen.name) as backbone:
            theirs = backbone.model.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=GREEDY.max_new_tokens,
                do_sample=False,
                eos_token_id=list(encoder.stop_ids),
                pad_token_id=encoder.pad_id,
            )[0, len(prompt) :]
        assert list(rollout.tokens) == theirs.tolist()
        assert rollout.prompt == prompt


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("max_batch", [1, 2, 64])
def test_uneven_prompts_together_give_what_each_gives_alone(name: str, max_batch: int) -> None:
    role, encoder = roles(name)
    given = prompts(encoder)
    together = generate(role, given, encoder, SamplingConfig(max_new_tokens=12, temperature=0.0, max_batch=max_batch))
    for prompt, (rollout,) in zip(given, together, strict=True):
        ((alone,),) = generate(role, [prompt], encoder, GREEDY)
        assert rollout.tokens == alone.tokens
        assert rollout.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


@pytest.mark.slow
def test_greedy_tokens_of_smollm2_are_those_of_transformers() -> None:
    if not (cache_folder() / "smollm2-135m-instruct" / "model.safetensors").exists():
        pytest.skip("SmolLM2 is not in the cache")
    made = load_language_model("smollm2", precision="fp32")
    encoder = Encoder(made.tokenizer, max_tokens=512)
    asked = ["hi", "Name three colours, please.", "Why is the sky blue? Say it in one sentence."]
    given = [encoder.prompt(Dialogue.of(text)) for text in asked]
    reference = Trunk(made, None).reference()
    found = [list(r[0].tokens) for r in generate(reference, given, encoder, replace(GREEDY, max_new_tokens=24))]
    for prompt, tokens in zip(given, found, strict=True):
        ids = torch.tensor([prompt])
        theirs = made.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=list(encoder.stop_ids),
            pad_token_id=encoder.pad_id,
        )
        assert theirs[0, len(prompt) :].tolist() == tokens


@pytest.mark.parametrize(
    "rules", [{"repetition_penalty": 1.5}, {"no_repeat_ngram": 2}, {"repetition_penalty": 0.8, "no_repeat_ngram": 3}]
)
@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens_under_rules_are_those_of_transformers(name: str, rules: dict[str, float]) -> None:
    role, encoder = roles(name)
    given = prompts(encoder)
    config = replace(GREEDY, **rules)
    found = [r[0].tokens for r in generate(role, given, encoder, config)]
    with role.trunk.activate(role.name) as backbone:
        theirs = [
            backbone.model.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=GREEDY.max_new_tokens,
                do_sample=False,
                eos_token_id=list(encoder.stop_ids),
                pad_token_id=encoder.pad_id,
                repetition_penalty=config.repetition_penalty,
                no_repeat_ngram_size=config.no_repeat_ngram or 0,
            )[0, len(prompt) :].tolist()
            for prompt in given
        ]
    assert [list(tokens) for tokens in found] == theirs
    assert found != [r[0].tokens for r in generate(role, given, encoder, GREEDY)]


# log-probabilities ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_the_sampler_s_log_probabilities_are_the_trainer_s(name: str, temperature: float) -> None:
    role, encoder = roles(name)
    config = SamplingConfig(max_new_tokens=16, temperature=temperature, max_batch=7)
    for one, two in generate(role, prompts(encoder), encoder, config, n=2, rng=torch.Generator().manual_seed(1)):
        for rollout in (one, two):
            expected = trainer_logprobs(role, rollout, temperature)
            torch.testing.assert_close(torch.tensor(rollout.logprobs), expected, rtol=1e-4, atol=1e-4)


def test_cut_and_ruled_log_probabilities_are_those_of_a_float64_oracle() -> None:
    """Every step anew without a cache: the whole distribution in float64, rules, temperature, top-k, top-p, in turn."""
    role, encoder = roles("tiny")
    config = SamplingConfig(
        max_new_tokens=10, temperature=0.8, top_k=30, top_p=0.9, repetition_penalty=1.3, no_repeat_ngram=2, max_batch=4
    )
    found = generate(role, prompts(encoder), encoder, config, n=2, rng=torch.Generator().manual_seed(2))
    for rollout in (r for rs in found for r in rs):
        for k, (token, logp) in enumerate(zip(rollout.tokens, rollout.logprobs, strict=True)):
            said = [*rollout.prompt, *rollout.tokens[:k]]
            with role.trunk.activate(role.name) as backbone, torch.no_grad():
                logits = backbone.model(torch.tensor([said]), use_cache=False).logits[0, -1].double().tolist()
            for t in set(said):
                logits[t] = logits[t] / 1.3 if logits[t] > 0 else logits[t] * 1.3
            for a, b in pairwise(said):
                if a == said[-1]:
                    logits[b] = -math.inf
            top = max(logits)
            p = {t: math.exp((x - top) / 0.8) for t, x in enumerate(logits)}
            kept, mass = sorted(p, key=lambda t: -p[t])[:30], 0.0
            whole, nucleus = sum(p[t] for t in kept), []
            for t in kept:
                if mass < 0.9 * whole:
                    nucleus.append(t)
                    mass += p[t]
            assert token in nucleus
            assert logp == pytest.approx(math.log(p[token] / mass), abs=1e-4)


def test_greedy_log_probabilities_are_those_at_temperature_one() -> None:
    role, encoder = roles("tiny")
    ((rollout,),) = generate(role, prompts(encoder)[:1], encoder, GREEDY)
    expected = trainer_logprobs(role, rollout, 1.0)
    torch.testing.assert_close(torch.tensor(rollout.logprobs), expected, rtol=1e-4, atol=1e-4)


def test_full_copies_of_a_bf16_model_sample_what_they_train() -> None:
    """Both run under the same autocast; otherwise the gap between sampler and trainer is that of bf16."""
    model = tiny_model().to(torch.bfloat16)
    trunk = Trunk(LanguageModel(model, tiny_tokenizer(), "tiny", "", ""), None)
    role, encoder = trunk.add_role("policy"), Encoder(tiny_tokenizer(), max_tokens=120)
    kinds = set()
    with trunk.activate("policy") as backbone:
        copied = backbone.model
    copied.model.layers[0].mlp.up_proj.register_forward_hook(lambda m, i, o: kinds.add(o.dtype))
    ((rollout,),) = generate(role, prompts(encoder)[:1], encoder, SamplingConfig(max_new_tokens=8))
    expected = trainer_logprobs(role, rollout, 1.0)
    assert kinds == {torch.bfloat16}
    assert (torch.tensor(rollout.logprobs) - expected).abs().mean() < 0.05


def test_weights_are_cast_once_for_all_steps_and_nobody_else_is_cast_with_them() -> None:
    """A full copy of a bf16 model computes in bf16 from fp32 weights; an autocast a step would cast them each step."""
    model = tiny_model().to(torch.bfloat16)
    trunk = Trunk(LanguageModel(model, tiny_tokenizer(), "tiny", "", ""), None)
    role, encoder = trunk.add_role("policy"), Encoder(tiny_tokenizer(), max_tokens=120)
    encoder.stop_ids = (999,)
    kinds: set[torch.dtype] = set()

    class Casts(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten._to_copy.default and args[0].shape == (64, 32):  # gate and up of two layers
                self.count += 1
            return func(*args, **(kwargs or {}))

    def watch(tokens: object) -> None:
        kinds.add((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)

    with Casts() as casts:
        generate(role, [(5, 6), (7,)], encoder, SamplingConfig(max_new_tokens=5), watch=watch)
    assert casts.count == 4
    assert kinds == {torch.float32}


# work ----------------------------------------------------------------------------------------------------


def tokens_run(role: Role) -> list[tuple[int, int]]:
    """[sample, token] of every forward pass from now on."""
    seen: list[tuple[int, int]] = []
    layer = role.trunk.model.base_model.layers[0]
    layer.register_forward_hook(lambda m, args, o: seen.append(tuple(args[0].shape[:2])))
    return seen


def never_ending() -> tuple[Role, Encoder]:
    """A tiny policy and an encoder whose end of turn it cannot sample."""
    trunk = Trunk(LanguageModel(tiny_model(), tiny_tokenizer(), "tiny", "", ""), AdapterConfig(rank=2, alpha=4.0))
    encoder = Encoder(tiny_tokenizer(), max_tokens=120)
    encoder.stop_ids = (999,)
    return trunk.add_role("policy"), encoder


def test_a_prompt_runs_once_for_all_its_samples() -> None:
    role, encoder = never_ending()
    seen = tokens_run(role)
    generate(role, [(5, 6, 7, 8), (9, 10)], encoder, SamplingConfig(max_new_tokens=3), n=5)
    assert seen == [(1, 6), (10, 1), (10, 1)]  # two prompts end to end, no padding; then ten samples a step


def test_samples_that_outnumber_a_batch_run_their_prompt_once_a_batch() -> None:
    role, encoder = never_ending()
    seen = tokens_run(role)
    found = generate(role, [(5, 6, 7, 8)], encoder, SamplingConfig(max_new_tokens=2, max_batch=4), n=6)
    assert seen == [(1, 4), (4, 1), (1, 4), (2, 1)]
    assert len(found[0]) == 6


def test_finished_samples_leave_the_batch_and_the_others_go_on_as_they_would_alone() -> None:
    role, encoder = never_ending()
    given = prompts(encoder)
    whole = [r[0].tokens for r in generate(role, given, encoder, GREEDY)]
    stop = whole[0][3]  # the fourth token of one of them ends turns from now on
    encoder.stop_ids = (stop,)
    expected = [t[: t.index(stop) + 1] if stop in t else t for t in whole]
    seen = tokens_run(role)
    found = [r[0] for r in generate(role, given, encoder, GREEDY)]
    assert [r.tokens for r in found] == expected
    assert [r.finished for r in found] == [t[-1] == stop for t in expected]
    lengths = [len(t) for t in expected]
    steps = [sum(n > k for n in lengths) for k in range(1, max(lengths))]
    assert [s for s, _ in seen[1:]] == steps
    assert len(set(steps)) > 1


def test_another_role_used_while_sampling_does_not_take_over() -> None:
    role, encoder = roles("tiny")
    other = Role(role.trunk, "other")
    batch = collate([Row.of([5], [6])])
    expected = generate(role, prompts(encoder), encoder, GREEDY)
    for intrude in (lambda: other.scores(batch), lambda: role.trunk.reference().hidden(batch)):

        def watch(tokens: object, intrude: Callable[[], Tensor] = intrude) -> None:
            intrude()

        assert generate(role, prompts(encoder), encoder, GREEDY, watch=watch) == expected


def test_adapters_are_on() -> None:
    role, encoder = roles("tiny")
    own, bare = (generate(r, prompts(encoder), encoder, GREEDY) for r in (role, role.trunk.reference()))
    assert [r[0].tokens for r in own] != [r[0].tokens for r in bare]


# randomness ----------------------------------------------------------------------------------------------


def test_what_is_drawn_depends_neither_on_the_batches_nor_on_other_prompts() -> None:
    role, encoder = roles("tiny")
    given = prompts(encoder)

    def sample(config: SamplingConfig, given: list[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
        g = torch.Generator().manual_seed(3)
        return [[r.tokens for r in rs] for rs in generate(role, given, encoder, config, n=3, rng=g)]

    whole = sample(SamplingConfig(max_new_tokens=12), given)
    assert (
        len({len(tokens) for tokens in whole[0]}) > 1 or len({len(ts) for rs in whole for ts in rs}) > 1
    )  # some ended
    for max_batch in (1, 4, 5):
        assert sample(SamplingConfig(max_new_tokens=12, max_batch=max_batch), given) == whole
    assert sample(SamplingConfig(max_new_tokens=12), given[:2]) == whole[:2]


def test_the_same_generator_gives_the_same_replies_whatever_else_was_drawn() -> None:
    role, encoder = roles("tiny")

    def sample(seed: int, noise: int) -> list[list[Rollout]]:
        torch.manual_seed(noise)
        return generate(role, prompts(encoder), encoder, SamplingConfig(), n=3, rng=torch.Generator().manual_seed(seed))

    first = sample(5, 0)
    assert sample(5, 1) == first
    assert sample(6, 0) != first
    assert len({r.tokens for r in first[0]}) > 1  # and the samples of one prompt differ


# errors --------------------------------------------------------------------------------------------------


def test_prompts_without_tokens_or_room_are_refused() -> None:
    role, encoder = roles("tiny")
    with pytest.raises(DataError, match="prompt 1 has 0 tokens"):
        generate(role, [(5,), ()], encoder, GREEDY)
    generate(role, [(5,) * 108], encoder, SamplingConfig(max_new_tokens=12))
    with pytest.raises(DataError, match="prompt 0 has 109 tokens; with 12 new ones it must fit in 120"):
        generate(role, [(5,) * 109], encoder, GREEDY)
    assert generate(role, [], encoder, GREEDY) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"max_new_tokens": 0}, "at least 1"),
        ({"max_batch": 0}, "at least 1"),
        ({"temperature": -0.1}, "at least 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"no_repeat_ngram": 0}, "no_repeat_ngram must be at least 1"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\]"),
        ({"top_p": 1.1}, r"top_p must be in \(0, 1\]"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be above 0"),
        ({"temperature": 0.0, "top_k": 5}, "would change nothing"),
        ({"temperature": 0.0, "top_p": 0.5}, "would change nothing"),
    ],
)
def test_impossible_settings_are_refused(bad: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SamplingConfig(**bad)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_numbers_that_are_not_finite_are_not_sampled_from(temperature: float) -> None:
    role, encoder = never_ending()
    role.load_state({k: torch.full_like(w, float("nan")) for k, w in role.state().items()})
    with pytest.raises(ModelError, match="not finite"):
        generate(role, [(5, 6)], encoder, SamplingConfig(temperature=temperature))


# dialogues -----------------------------------------------------------------------------------------------


def test_a_sampler_makes_dialogues_one_turn_longer_and_can_be_repeated() -> None:
    role, encoder = roles("tiny")
    asked = [Dialogue.of("hi"), Dialogue.of("a", "b", "c", system="s"), Dialogue.of("hi")]
    made = [ReplySampler(role, encoder, SamplingConfig(max_new_tokens=6), seed=s)(asked) for s in (1, 1, 2)]
    assert [d.prompt for d in made[0]] == asked
    assert made[0] == made[1] != made[2]


def test_a_sampler_drops_early_turns_but_answers_the_dialogue_it_was_given() -> None:
    role, encoder = roles("tiny")
    long = Dialogue.of("x" * 100, "y", "and now?")
    short = Dialogue.of("and now?")
    (one,), (two,) = (ReplySampler(role, encoder, GREEDY)([d]) for d in (long, short))
    assert one.prompt == long
    assert one.reply == two.reply
    with pytest.raises(DataError, match="dialogue 1: its last turn alone"):
        ReplySampler(role, encoder, GREEDY)([short, Dialogue.of("x" * 200)])
