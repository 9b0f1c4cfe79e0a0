"""Draws against a reference sampler in float64 that sorts the whole vocabulary, and rules worked out by hand."""

import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from preflab.rollouts.sampling import BLOCK, RepetitionRules, invert, nucleus_edge, sample_tokens

SETTINGS = [
    {},
    {"temperature": 0.5},
    {"temperature": 2.0},
    {"top_k": 3},
    {"top_p": 0.8},
    {"top_p": 0.3},
    {"temperature": 1.5, "top_k": 5, "top_p": 0.7},
    {"top_k": 1},
    {"top_k": 10_000},
]


def reference(logits: Tensor, *, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> list[float]:
    """The distribution of one row, the long way: sort, cut, cut again, scale. No ties."""
    p = torch.softmax(logits.double() / temperature, -1).tolist()
    ranked = sorted(range(len(p)), key=lambda i: -p[i])[:top_k]
    whole, kept, mass = sum(p[i] for i in ranked), [], 0.0
    for i in ranked:
        if mass >= top_p * whole:
            break
        kept.append(i)
        mass += p[i]
    return [p[i] / mass if i in kept else 0.0 for i in range(len(p))]


def spread(n: int) -> Tensor:
    """n numbers that fill [0, 1) evenly."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


# the distribution ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_draws_follow_the_reference_sampler(settings: dict[str, float]) -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0, float("-inf"), 0.5, -30.0, 1.2, 0.1])
    n = 20_000
    u = torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    token, logp = sample_tokens(logits.expand(n, -1).contiguous(), u, **settings)
    expected = torch.tensor(reference(logits, **settings), dtype=torch.float64)
    likely = expected > 1e-4
    counts = torch.bincount(token, minlength=len(logits))
    assert counts[~likely].sum() == 0
    share = expected[likely] / expected[likely].sum() * n
    assert likely.sum() == 1 or chisquare(counts[likely].numpy(), share.numpy()).pvalue > 1e-3
    torch.testing.assert_close(logp.double(), expected.log()[token], rtol=0, atol=2e-6)


@pytest.mark.parametrize("vocab", [1, 5, BLOCK, BLOCK + 1, 3 * BLOCK, 1000])
def test_a_vocabulary_of_any_size_is_drawn_in_its_order(vocab: int) -> None:
    """With numbers that fill the unit interval, each token comes as often as its weight says, give or take one."""
    weights = torch.rand(1, vocab, generator=torch.Generator().manual_seed(vocab), dtype=torch.float64)
    n = 5_000
    token, logp = invert(weights.expand(n, -1), spread(n))
    share = weights[0] / weights.sum()
    assert (token.diff() >= 0).all()
    assert (torch.bincount(token, minlength=vocab) - n * share).abs().max() <= 1 + 1e-6
    torch.testing.assert_close(logp, share.log()[token])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_log_probabilities_are_those_of_a_float64_oracle_on_a_large_vocabulary(settings: dict[str, float]) -> None:
    g = torch.Generator().manual_seed(3)
    logits = 4 * torch.randn(6, 3_001, generator=g)
    token, logp = sample_tokens(logits, torch.rand(6, generator=g, dtype=torch.float64), **settings)
    for row, t, lp in zip(logits, token.tolist(), logp.tolist(), strict=True):
        assert lp == pytest.approx(math.log(reference(row, **settings)[t]), abs=5e-6)


def test_the_nucleus_ends_where_a_full_sort_ends_it() -> None:
    g = torch.Generator().manual_seed(0)
    for scale in (0.01, 1.0, 5.0):  # from nearly flat, where all are sorted, to peaked
        weights = torch.softmax(scale * torch.randn(4, 2_000, generator=g), -1)
        for top_p in (1e-6, 0.1, 0.5, 0.9, 0.999):
            ranked = weights.double().sort(-1, descending=True).values
            before = ranked.cumsum(-1) - ranked
            kept = (before < top_p * weights.double().sum(-1, keepdim=True)).sum(-1)
            found = (weights >= nucleus_edge(weights, top_p)[:, None]).sum(-1)
            assert (found - kept).abs().max() <= 1  # rounding may move the edge by a token
            assert (found == kept).float().mean() >= 0.75


def test_ties_with_the_last_token_kept_are_kept() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0, 1.0]])
    for settings in ({"top_k": 2}, {"top_p": 0.6}):  # e^2 / (e^2 + 2e + 1) = 0.54
        tokens = {sample_tokens(logits, u[None], **settings)[0].item() for u in spread(50)}
        assert tokens == {1, 2, 3}


def test_rows_of_one_draw_are_drawn_apart() -> None:
    logits = torch.tensor([[0.0, 9.0, 0.0], [9.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    token, _ = sample_tokens(
        logits.repeat(100, 1), spread(300)[torch.randperm(300, generator=torch.Generator().manual_seed(0))]
    )
    assert (token.reshape(100, 3) == torch.tensor([1, 0, 2])).float().mean() > 0.99


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53, 1.0])
def test_the_ends_of_the_unit_interval_draw_nothing_impossible(u: float) -> None:
    """Rounding may put the last number at the total; what follows has probability zero."""
    logits = torch.full((1, 3 * BLOCK), float("-inf"))
    logits[0, [1, 2, BLOCK + 5]], logits[0, 4] = torch.tensor([1.0, 1.0, 2.0]), -200.0
    token, logp = sample_tokens(logits, torch.tensor([u], dtype=torch.float64))
    assert token.item() == (1 if u == 0 else BLOCK + 5)
    assert torch.isfinite(logp).all()


def test_temperature_zero_takes_the_largest() -> None:
    token, logp = sample_tokens(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([0.99]), temperature=0.0)
    assert token.item() == 1
    assert logp.item() == pytest.approx(3 - math.log(math.e + math.e**3 + math.e**2))


def test_what_is_not_a_number_is_not_hidden() -> None:
    for settings in ({}, {"temperature": 0.0}, {"top_k": 2}, {"top_p": 0.5}):
        _, logp = sample_tokens(torch.tensor([[1.0, float("nan"), 0.0]]), torch.tensor([0.5]), **settings)
        assert not torch.isfinite(logp).any()


def test_logits_are_left_as_they_are() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    kept = logits.clone()
    sample_tokens(logits, torch.tensor([0.5]), temperature=0.5, top_k=2, top_p=0.5)
    assert torch.equal(logits, kept)


# rules against repetition ------------------------------------------------------------------------------------


def test_the_penalty_divides_positive_and_multiplies_negative_logits_of_what_was_said() -> None:
    rules = RepetitionRules([(0, 2), (3,)], room=4, penalty=2.0, ngram=None)
    rules.add([1, 3])
    logits = torch.tensor([[4.0, -4.0, -1.0, 4.0], [4.0, -4.0, -1.0, 4.0]])
    expected = torch.tensor([[2.0, -8.0, -2.0, 4.0], [4.0, -4.0, -1.0, 2.0]])  # said: 0 2 1 and 3 3
    assert torch.equal(rules.apply(logits), expected)


def test_a_run_of_tokens_does_not_come_twice() -> None:
    rules = RepetitionRules([(5, 6, 7, 5), (1, 2, 1)], room=4, penalty=1.0, ngram=2)
    assert banned(rules, 8) == [{6}, {2}]  # 5 was run_plan by 6, 1 by 2
    rules.add([5, 3])
    assert banned(rules, 8) == [{6, 5}, set()]  # now by 5 as well; 3 is new
    rules.add([7, 1])
    assert banned(rules, 8) == [{5}, {2, 3}]


def test_a_run_of_one_forbids_every_token_said_and_a_run_longer_than_the_prompt_nothing_yet() -> None:
    assert banned(RepetitionRules([(5, 6)], room=1, penalty=1.0, ngram=1), 8) == [{5, 6}]
    rules = RepetitionRules([(5, 6)], room=5, penalty=1.0, ngram=4)
    for token, expected in ((5, set()), (6, set()), (5, {6}), (7, set())):
        rules.add([token])
        assert banned(rules, 8) == [expected]  # 5 6 5 6 5: after 5 6 5 came 6


def test_rules_follow_the_samples_that_stay() -> None:
    rules = RepetitionRules([(1,), (2,), (3,)], room=2, penalty=2.0, ngram=1)
    rules.select([2, 1])
    assert banned(rules, 5) == [{3}, {2}]
    rules.add([4, 0])
    logits = rules.apply(torch.ones(2, 5))
    assert [set(row.isinf().nonzero().flatten().tolist()) for row in logits] == [{3, 4}, {2, 0}]


def banned(rules: RepetitionRules, vocab: int) -> list[set[int]]:
    return [
        set(row.isinf().nonzero().flatten().tolist()) for row in rules.apply(torch.zeros(len(rules._history), vocab))
    ]
