"""Sampling against transformers' own, against one prompt at a time, and against the trainer's numbers."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, collate
from preflab.errors import ConfigError, DataError, ModelError
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.roles import AdapterConfig, Role, Trunk
from preflab.models.tiny import tiny_model, tiny_tokenizer
from preflab.rollouts.encode import Encoder
from preflab.rollouts.generate import ReplySampler, Rollout, SamplingConfig, draw, generate

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
        with role.trunk.playing(seen.name) as model:
            theirs = model.generate(
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


# log-probabilities ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_the_sampler_s_log_probabilities_are_the_trainer_s(name: str, temperature: float) -> None:
    role, encoder = roles(name)
    config = SamplingConfig(max_new_tokens=16, temperature=temperature, max_batch=7)
    for one, two in generate(role, prompts(encoder), encoder, config, n=2, generator=torch.Generator().manual_seed(1)):
        for rollout in (one, two):
            expected = trainer_logprobs(role, rollout, temperature)
            torch.testing.assert_close(torch.tensor(rollout.logprobs), expected, rtol=1e-4, atol=1e-4)


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
    trunk._copies["policy"].model.layers[0].mlp.up_proj.register_forward_hook(lambda m, i, o: kinds.add(o.dtype))
    ((rollout,),) = generate(role, prompts(encoder)[:1], encoder, SamplingConfig(max_new_tokens=8))
    expected = trainer_logprobs(role, rollout, 1.0)
    assert kinds == {torch.bfloat16}
    assert (torch.tensor(rollout.logprobs) - expected).abs().mean() < 0.05


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
    assert seen == [(2, 4), (10, 1), (10, 1)]  # two prompts padded to four; then ten samples a step


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


def test_progress_counts_every_sampled_token() -> None:
    role, encoder = roles("tiny")
    heard: list[int] = []
    found = generate(role, prompts(encoder), encoder, GREEDY, n=2, progress=heard.append)
    assert sum(heard) == sum(len(r.tokens) for rs in found for r in rs)


def test_another_role_used_while_sampling_does_not_take_over() -> None:
    role, encoder = roles("tiny")
    other = Role(role.trunk, "other")
    batch = collate([Row.of([5], [6])])
    expected = generate(role, prompts(encoder), encoder, GREEDY)
    for intrude in (lambda: other.scores(batch), lambda: role.trunk.reference().hidden(batch)):

        def progress(n: int, intrude: Callable[[], Tensor] = intrude) -> None:
            intrude()

        assert generate(role, prompts(encoder), encoder, GREEDY, progress=progress) == expected


def test_adapters_are_on() -> None:
    role, encoder = roles("tiny")
    own, bare = (generate(r, prompts(encoder), encoder, GREEDY) for r in (role, role.trunk.reference()))
    assert [r[0].tokens for r in own] != [r[0].tokens for r in bare]


# randomness ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0, float("-inf"), 0.5, -30.0])
    n = 20_000
    token, logp = draw(logits.expand(n, -1).contiguous(), temperature, torch.Generator().manual_seed(0))
    expected = torch.softmax(logits / temperature, -1)
    likely = expected > 1e-4
    counts = torch.bincount(token, minlength=len(logits))
    assert counts[~likely].sum() == 0
    share = (expected[likely] / expected[likely].sum() * n).double()
    assert chisquare(counts[likely].numpy(), (share * n / share.sum()).numpy()).pvalue > 1e-3
    torch.testing.assert_close(logp, expected.log()[token])


def test_rows_of_one_draw_are_drawn_apart() -> None:
    logits = torch.tensor([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    token, _ = draw(logits.repeat(100, 1), 1.0, torch.Generator().manual_seed(0))
    assert (token.reshape(100, 3) == torch.tensor([1, 0, 2])).float().mean() > 0.99


@pytest.mark.parametrize("u", [0.0, 1.0])
def test_the_ends_of_the_unit_interval_draw_nothing_impossible(u: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A float just below one times the total rounds up to the total; what follows has probability zero."""
    monkeypatch.setattr(torch, "rand", lambda *shape, generator=None: torch.full(shape, u))
    logits = torch.tensor([[float("-inf"), 1.0, 2.0, float("-inf"), -200.0]])
    token, logp = draw(logits, 1.0, None)
    assert token.item() == (1 if u == 0 else 2)
    assert torch.isfinite(logp).all()


def test_temperature_zero_takes_the_largest() -> None:
    token, logp = draw(torch.tensor([[1.0, 3.0, 2.0]]), 0.0, None)
    assert token.item() == 1
    assert logp.item() == pytest.approx(float(torch.log_softmax(torch.tensor([1.0, 3.0, 2.0]), -1)[1]))


def test_the_same_generator_gives_the_same_replies_whatever_else_was_drawn() -> None:
    role, encoder = roles("tiny")

    def sample(seed: int, noise: int) -> list[list[Rollout]]:
        torch.manual_seed(noise)
        return generate(
            role, prompts(encoder), encoder, SamplingConfig(), n=3, generator=torch.Generator().manual_seed(seed)
        )

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


@pytest.mark.parametrize("bad", [{"max_new_tokens": 0}, {"max_batch": 0}, {"temperature": -0.1}])
def test_impossible_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="at least"):
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
