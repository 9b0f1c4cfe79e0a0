"""Losses from comparisons and rankings, against values worked out by hand and against enumeration."""

import math
from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from preflab.errors import ConfigError, DataError
from preflab.maths.preference import (
    plackett_luce_loss,
    preference_loss,
)

LN2 = math.log(2)


def doubles(*x: float) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64)


def loss(gap: float, prob_a: float, lapse: float = 0.0, margin: float = 0.0) -> float:
    """One comparison, with b fixed at an arbitrary score so that only the gap can matter."""
    return preference_loss(doubles(gap + 7.0), doubles(7.0), doubles(prob_a), lapse=lapse, margin=margin).item()


@pytest.mark.parametrize(
    ("gap", "prob_a", "lapse", "expected"),
    [
        (0.0, 1.0, 0.0, LN2),  # knows nothing: one bit
        (0.0, 0.5, 0.0, LN2),  # a tie, rightly called: entropy of a coin
        (math.log(3), 1.0, 0.0, math.log(4 / 3)),  # odds 3:1, so P(a) = 3/4
        (math.log(3), 0.0, 0.0, math.log(4)),
        (math.log(3), 1.0, 0.1, -math.log(0.725)),  # 0.9 * 0.75 + 0.05
        (1.0, 1.0, 0.0, math.log(1 + math.exp(-1.0))),  # Bai et al. 2022: log(1 + exp(r_worse - r_better))
    ],
)
def test_hand_computed_values(gap: float, prob_a: float, lapse: float, expected: float) -> None:
    assert loss(gap, prob_a, lapse) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("prob_a", "expected"),
    [
        (1.0, math.log(4 / 3)),  # gap ln 6 less margin ln 2: odds 3:1 for a
        (0.0, math.log(13)),  # -ln 6 - ln 2 = -ln 12: odds 1:12 for b
        (0.5, (math.log(4 / 3) + math.log(13)) / 2),
    ],
)
def test_a_margin_is_taken_off_in_the_direction_of_the_label(prob_a: float, expected: float) -> None:
    assert loss(math.log(6), prob_a, margin=LN2) == pytest.approx(expected, rel=1e-12)


def test_a_margin_per_pair_equals_scalar_margins_one_by_one() -> None:
    a, b, p, m = doubles(1.0, 2.0), doubles(0.5, 3.0), doubles(1.0, 0.2), doubles(0.0, 1.5)
    both = preference_loss(a, b, p, margin=m, lapse=0.1)
    for i in range(2):
        alone = preference_loss(a[i : i + 1], b[i : i + 1], p[i : i + 1], margin=m[i].item(), lapse=0.1)
        torch.testing.assert_close(both[i : i + 1], alone)


@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_swapping_the_pair_and_its_label_changes_nothing(margin: float) -> None:
    torch.manual_seed(0)
    a, b, p = torch.randn(64), torch.randn(64), torch.rand(64)
    here = preference_loss(a, b, p, lapse=0.1, margin=margin)
    torch.testing.assert_close(here, preference_loss(b, a, 1 - p, lapse=0.1, margin=margin))


def test_the_loss_is_the_cross_entropy_of_the_predicted_probability() -> None:
    torch.manual_seed(0)
    a, b, p = torch.randn(64).double(), torch.randn(64).double(), torch.rand(64).double()
    q = 0.8 * torch.sigmoid(a - b) + 0.1  # Bradley-Terry, a fifth of the answers at random
    expected = -(p * q.log() + (1 - p) * (1 - q).log())
    torch.testing.assert_close(preference_loss(a, b, p, lapse=0.2), expected)


def test_one_confident_mistake_cannot_dominate_a_batch_when_labellers_lapse() -> None:
    assert loss(-1e4, 1.0, lapse=0.0) == pytest.approx(1e4)  # unbounded without
    assert loss(-1e4, 1.0, lapse=0.1) == pytest.approx(-math.log(0.05))


@pytest.mark.parametrize("lapse", [0.0, 0.1])
def test_gradient_stays_within_one_at_extreme_gaps(lapse: float) -> None:
    a = torch.tensor([1e4, -1e4], requires_grad=True)
    preference_loss(a, torch.zeros(2), torch.tensor([0.0, 1.0]), lapse=lapse, margin=1.0).sum().backward()
    assert a.grad is not None
    assert (a.grad.abs() <= 1).all()  # false for nan and inf too


def test_gradient_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(5).double().requires_grad_(), torch.randn(5).double().requires_grad_()
    p = torch.rand(5).double()
    assert torch.autograd.gradcheck(lambda a, b: preference_loss(a, b, p, lapse=0.1, margin=0.3), (a, b))


@pytest.mark.parametrize("lapse", [1.0, -0.1, math.nan])
def test_impossible_lapse_is_refused_with_the_allowed_range(lapse: float) -> None:
    with pytest.raises(ConfigError, match=r"lapse must be in \[0, 1\)"):
        preference_loss(torch.zeros(1), torch.zeros(1), torch.ones(1), lapse=lapse)


@pytest.mark.parametrize("margin", [-0.1, math.inf, math.nan])
def test_impossible_margin_is_refused_with_the_allowed_range(margin: float) -> None:
    with pytest.raises(ConfigError, match=r"margin must be in \[0, inf\) nats"):
        preference_loss(torch.zeros(1), torch.zeros(1), torch.ones(1), margin=margin)


def test_a_score_that_would_broadcast_is_refused() -> None:
    with pytest.raises(TypeCheckError, match="pair"):  # shapes are checked in tests only
        preference_loss(torch.zeros(1), torch.zeros(3), torch.ones(3))
    with pytest.raises(TypeCheckError, match="option"):
        plackett_luce_loss(torch.zeros(3), torch.ones(1, dtype=torch.long))


RANKED = doubles(2.0, 1.0, 0.5, -1.0)  # InstructGPT notes, 3.2: scores in rank order
PAIR_LOSSES = [0.313262, 0.201413, 0.048587, 0.474077, 0.126928, 0.201413]  # gaps 1, 1.5, 3, .5, 2, 1.5


def test_pair_losses_of_a_ranking_by_hand() -> None:
    better, worse = zip(*combinations(range(4), 2), strict=True)
    each = preference_loss(RANKED[list(better)], RANKED[list(worse)], torch.ones(6).double())
    assert each.tolist() == pytest.approx(PAIR_LOSSES, abs=5e-7)


def test_two_options_give_the_pairwise_loss_exactly() -> None:
    torch.manual_seed(0)
    for a, b in torch.randn(20, 2):
        torch.testing.assert_close(
            plackett_luce_loss(torch.stack([b, a]), torch.tensor([2, 1])),
            preference_loss(a[None], b[None], torch.ones(1))[0],
        )


def test_extreme_scores_keep_ranking_losses_and_gradients_finite() -> None:
    scores = torch.tensor([-1e4, 0.0, 1e4], requires_grad=True)
    plackett_luce_loss(scores, torch.tensor([1, 2, 2])).backward()  # the worst score is ranked best
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


ranked_scores = st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 4)), min_size=2, max_size=6)


@settings(max_examples=40, deadline=None)
@given(ranked_scores, st.randoms(use_true_random=False))
def test_the_order_in_which_options_are_listed_changes_nothing(options, rng) -> None:  # type: ignore[no-untyped-def]
    shuffled = rng.sample(options, len(options))
    as_listed, otherwise = (
        plackett_luce_loss(doubles(*(s for s, _ in o)), torch.tensor([r for _, r in o])) for o in (options, shuffled)
    )
    torch.testing.assert_close(as_listed, otherwise, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(ranked_scores, st.floats(-100, 100))
def test_only_differences_of_scores_matter(options, shift) -> None:  # type: ignore[no-untyped-def]
    scores, ranks = doubles(*(s for s, _ in options)), torch.tensor([r for _, r in options])
    moved = plackett_luce_loss(scores + shift, ranks)
    torch.testing.assert_close(plackett_luce_loss(scores, ranks), moved, rtol=1e-9, atol=1e-9)


def order_loss(scores: list[float], order: tuple[int, ...]) -> float:
    """Plackett-Luce for one strict order, place by place."""
    left, total = list(order), 0.0
    for i in order:
        total += math.log(sum(math.exp(scores[j]) for j in left)) - scores[i]
        left.remove(i)
    return total


@pytest.mark.parametrize("ranks", [[1, 2, 3, 4], [2, 1, 2, 1], [1, 2, 2, 2], [1, 1, 1, 1], [5, 3, 9, 3]])
def test_plackett_luce_is_the_mean_over_every_order_the_ranks_allow(ranks: list[int]) -> None:
    scores = [0.3, -1.2, 2.0, 0.7]
    orders = [o for o in permutations(range(4)) if sorted(ranks) == [ranks[i] for i in o]]
    expected = sum(order_loss(scores, o) for o in orders) / len(orders)
    assert plackett_luce_loss(doubles(*scores), torch.tensor(ranks)).item() == pytest.approx(expected, rel=1e-12)


def test_plackett_luce_probabilities_of_all_rankings_sum_to_one() -> None:
    scores = doubles(0.3, -1.2, 2.0, 0.7)
    losses = [plackett_luce_loss(scores, torch.tensor(ranks)) for ranks in permutations([1, 2, 3, 4])]
    assert torch.stack(losses).neg().exp().sum().item() == pytest.approx(1.0, rel=1e-12)


def test_plackett_luce_of_equal_scores_is_log_of_the_number_of_orders() -> None:
    assert plackett_luce_loss(torch.zeros(5), torch.arange(5)).item() == pytest.approx(math.log(120))


def test_a_tied_pair_costs_what_preference_loss_asks_for_a_tie() -> None:
    got = plackett_luce_loss(doubles(0.4, -0.9), torch.tensor([1, 1])).item()
    assert got == pytest.approx(loss(1.3, 0.5), rel=1e-12)


def test_plackett_luce_gradient_agrees_with_finite_differences() -> None:
    scores = doubles(0.3, -1.2, 2.0, 0.7).requires_grad_()
    ranks = torch.tensor([2, 1, 2, 3])
    assert torch.autograd.gradcheck(lambda s: plackett_luce_loss(s, ranks), (scores,))


def test_one_option_or_none_costs_nothing() -> None:
    for k in (0, 1):
        assert plackett_luce_loss(torch.zeros(k), torch.arange(k)) == 0


def test_a_tie_too_large_to_enumerate_is_refused() -> None:
    assert plackett_luce_loss(torch.zeros(8), torch.ones(8, dtype=torch.long)).item() == pytest.approx(math.log(40320))
    with pytest.raises(DataError, match="at most 8 options may share a rank, got 9 of rank 1"):
        plackett_luce_loss(torch.zeros(9), torch.ones(9, dtype=torch.long))
