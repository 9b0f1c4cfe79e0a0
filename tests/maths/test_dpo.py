"""Direct preference losses against values worked out by hand."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError

from preflab.errors import ConfigError
from preflab.maths.dpo import dpo_loss, implicit_reward, ipo_loss, smoothed
from preflab.maths.preference import preference_loss

LN2, LN3 = math.log(2), math.log(3)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def dpo(gap: float, prob_a: float, beta: float, smoothing: float = 0.0) -> float:
    """One comparison, with b at an arbitrary log-ratio so that only the gap can matter."""
    return dpo_loss(one(gap - 5.0), one(-5.0), one(prob_a), beta=beta, label_smoothing=smoothing).item()


def ipo(gap: float, prob_a: float, tau: float, smoothing: float = 0.0) -> float:
    return ipo_loss(one(gap - 5.0), one(-5.0), one(prob_a), tau=tau, label_smoothing=smoothing).item()


@pytest.mark.parametrize(
    ("gap", "prob_a", "beta", "smoothing", "expected"),
    [
        (0.0, 1.0, 0.1, 0.0, LN2),  # the policy is the reference: knows nothing
        (0.0, 1.0, 0.1, 0.3, LN2),
        (10 * LN3, 1.0, 0.1, 0.0, math.log(4 / 3)),  # rewards apart by ln 3: odds 3:1, so P(a) = 3/4
        (10 * LN3, 0.0, 0.1, 0.0, math.log(4)),
        (10 * LN3, 0.5, 0.1, 0.0, 0.5 * math.log(16 / 3)),  # a tie: the mean of the two above
        (LN3, 1.0, 1.0, 0.1, 0.9 * math.log(4 / 3) + 0.1 * math.log(4)),  # one label in ten turned
        (LN3, 0.75, 1.0, 0.0, 0.75 * math.log(4 / 3) + 0.25 * math.log(4)),  # entropy of 3:1, the least there is
        (LN3, 0.75, 1.0, 0.1, 0.7 * math.log(4 / 3) + 0.3 * math.log(4)),  # 0.1 + 0.8 * 0.75 = 0.7
    ],
)
def test_dpo_values_worked_out_by_hand(
    gap: float, prob_a: float, beta: float, smoothing: float, expected: float
) -> None:
    assert dpo(gap, prob_a, beta, smoothing) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("gap", "prob_a", "tau", "smoothing", "expected"),
    [
        (0.0, 1.0, 0.1, 0.0, 25.0),  # asks for a gap of 1 / 0.2 = 5
        (5.0, 1.0, 0.1, 0.0, 0.0),
        (7.0, 1.0, 0.1, 0.0, 4.0),  # further than asked for costs too
        (-1.0, 0.0, 0.5, 0.0, 0.0),  # b is better: asks for -1
        (1.0, 0.5, 0.5, 0.0, 2.0),  # a tie: (0^2 + 2^2) / 2
        (0.0, 0.5, 0.5, 0.0, 1.0),  # the least a tie can cost: 0.5 * 0.5 / 0.25
        (0.0, 1.0, 0.5, 0.2, 1.0),
        (1.0, 1.0, 0.5, 0.25, 1.0),  # 0.75 * 0^2 + 0.25 * 2^2
        (2.0, 0.75, 0.5, 0.0, 3.0),  # 0.75 * 1^2 + 0.25 * 3^2
    ],
)
def test_ipo_values_worked_out_by_hand(
    gap: float, prob_a: float, tau: float, smoothing: float, expected: float
) -> None:
    assert ipo(gap, prob_a, tau, smoothing) == pytest.approx(expected, abs=1e-12)


def test_smoothing_turns_labels_round_and_leaves_ties() -> None:
    labels = torch.tensor([0.0, 0.5, 1.0, 0.75], dtype=torch.float64)
    expected = torch.tensor([0.1, 0.5, 0.9, 0.7], dtype=torch.float64)  # (1 - 0.1) p + 0.1 (1 - p)
    torch.testing.assert_close(smoothed(labels, 0.1), expected)
    torch.testing.assert_close(smoothed(labels, 0.0), labels, rtol=0, atol=0)


def test_dpo_is_preference_loss_on_implicit_rewards() -> None:
    torch.manual_seed(0)
    a, b, p = torch.randn(32), torch.randn(32), torch.rand(32)
    rewards = implicit_reward(a, 0.3), implicit_reward(b, 0.3)
    torch.testing.assert_close(dpo_loss(a, b, p, beta=0.3), preference_loss(*rewards, p))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_swapping_the_pair_and_its_label_changes_nothing(smoothing: float) -> None:
    torch.manual_seed(0)
    a, b, p = torch.randn(64), torch.randn(64), torch.rand(64)
    for loss, price in ((dpo_loss, {"beta": 0.5}), (ipo_loss, {"tau": 0.5})):
        own = loss(a, b, p, **price, label_smoothing=smoothing)  # type: ignore[operator]
        torch.testing.assert_close(own, loss(b, a, 1 - p, **price, label_smoothing=smoothing))  # type: ignore[operator]


@pytest.mark.parametrize(("prob", "smoothing"), [(1.0, 0.0), (0.3, 0.1), (0.5, 0.0)])
def test_the_gradient_of_ipo_pulls_to_the_gap_the_label_asks_for(prob: float, smoothing: float) -> None:
    """d loss / d gap = 2 (gap - (2p - 1) / (2 tau)), so it vanishes there and nowhere else."""
    gap, tau = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True), 0.4
    zero = torch.zeros(9, dtype=torch.float64)
    ipo_loss(gap, zero, torch.full_like(zero, prob), tau=tau, label_smoothing=smoothing).sum().backward()
    p = (1 - smoothing) * prob + smoothing * (1 - prob)
    assert gap.grad is not None
    torch.testing.assert_close(gap.grad, 2 * (gap.detach() - (2 * p - 1) / (2 * tau)))


def test_the_gradient_of_dpo_weighs_a_pair_by_how_wrong_it_is() -> None:
    """Rafailov et al. 2023, sec. 4: beta * sigmoid(-beta * gap), on a upwards and on b downwards."""
    gap = torch.tensor([-30.0, 0.0, 20.0], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(3, dtype=torch.float64)
    dpo_loss(gap, zero, torch.ones_like(zero), beta=0.1).sum().backward()
    assert gap.grad is not None
    expected = [-0.1 / (1 + math.exp(0.1 * g)) for g in (-30.0, 0.0, 20.0)]
    torch.testing.assert_close(gap.grad, torch.tensor(expected, dtype=torch.float64))


def test_extreme_gaps_stay_finite() -> None:
    a = torch.tensor([1e5, -1e5], requires_grad=True)
    dpo_loss(a, torch.zeros(2), torch.tensor([0.0, 1.0]), beta=1.0).sum().backward()
    assert a.grad is not None
    assert (a.grad.abs() <= 1).all()  # false for nan and inf too


@pytest.mark.parametrize("price", [0.0, -0.1, math.inf, math.nan])
def test_an_impossible_price_is_refused(price: float) -> None:
    with pytest.raises(ConfigError, match="beta must be above 0"):
        dpo(1.0, 1.0, price)
    with pytest.raises(ConfigError, match="tau must be above 0"):
        ipo(1.0, 1.0, price)


@pytest.mark.parametrize("smoothing", [-0.1, 0.5, 1.0, math.nan])
def test_impossible_smoothing_is_refused_with_the_allowed_range(smoothing: float) -> None:
    with pytest.raises(ConfigError, match=r"\[0, 0\.5\)"):
        dpo(1.0, 1.0, 0.1, smoothing)


def test_a_log_ratio_that_would_broadcast_is_refused() -> None:
    with pytest.raises(TypeCheckError, match="pair"):
        dpo_loss(torch.zeros(1), torch.zeros(3), torch.ones(3), beta=0.1)
