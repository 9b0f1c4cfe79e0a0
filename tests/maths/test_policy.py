"""PPO losses, KL estimators, masked helpers and the KL controller, by hand and by enumeration."""

import math
from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from preflab.errors import ConfigError, TrainingStopped
from preflab.maths.policy import (
    adaptive_kl_step,
    clip_fraction,
    entropy,
    exact_kl,
    kl_k3,
    log_ratio,
    masked_mean,
    masked_whiten,
    ppo_policy_loss,
    reinforce_loss,
    value_clip_fraction,
    value_loss,
)

# Stiennon notes, 3.4: A = (1, 1, -1, -1), ratio = (1.5, .5, 1.5, .5)
ADVANTAGES = torch.tensor([1.0, 1.0, -1.0, -1.0])
LOGP_NEW = torch.tensor([1.5, 0.5, 1.5, 0.5]).log()
LOGP_OLD = torch.zeros(4)


def test_policy_loss_by_hand() -> None:
    # 1.2 caps the gain of 1.5; .5 is a loss, in full; 1.5 is a loss, in full; .8 caps the gain of .5
    expected = torch.tensor([-1.2, -0.5, 1.5, 0.8])
    torch.testing.assert_close(ppo_policy_loss(LOGP_NEW, LOGP_OLD, ADVANTAGES), expected)


def test_clipping_stops_exactly_the_gradients_that_clip_fraction_counts() -> None:
    logp = LOGP_NEW.clone().requires_grad_()
    ppo_policy_loss(logp, LOGP_OLD, ADVANTAGES).sum().backward()
    torch.testing.assert_close(logp.grad, torch.tensor([0.0, -0.5, 1.5, 0.0]))  # -A * ratio where not clipped
    assert clip_fraction(LOGP_NEW, LOGP_OLD, ADVANTAGES) == 0.5
    mask = torch.tensor([True, True, True, False])
    torch.testing.assert_close(clip_fraction(LOGP_NEW, LOGP_OLD, ADVANTAGES, mask), torch.tensor(1 / 3))
    assert clip_fraction(LOGP_NEW, LOGP_OLD, ADVANTAGES, clip=0.6) == 0


def test_on_policy_the_loss_is_minus_the_advantage_and_its_gradient_the_policy_gradient() -> None:
    torch.manual_seed(0)
    logp, advantages = torch.randn(3, 5, requires_grad=True), torch.randn(3, 5)
    loss = ppo_policy_loss(logp, logp, advantages)  # logp_old gets no gradient, though it is the same tensor
    loss.sum().backward()
    torch.testing.assert_close(loss, -advantages)
    torch.testing.assert_close(logp.grad, -advantages)


def test_advantages_and_returns_receive_no_gradient() -> None:
    a, r = torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)
    assert not ppo_policy_loss(LOGP_NEW, LOGP_OLD, a).requires_grad
    assert not value_loss(torch.zeros(4), r, r).requires_grad


def test_log_ratio_is_clamped_before_anyone_exponentiates_it() -> None:
    new = torch.tensor([1e4, -1e4, 0.5], requires_grad=True)
    torch.testing.assert_close(log_ratio(new, torch.zeros(3)), torch.tensor([20.0, -20.0, 0.5]))
    loss = ppo_policy_loss(new, torch.zeros(3), torch.tensor([-1.0, 1.0, 1.0]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert new.grad is not None
    assert new.grad.isfinite().all()


def test_value_loss_by_hand() -> None:
    v, old, target = torch.tensor([0.9]), torch.tensor([0.4]), torch.tensor([0.5])
    assert value_loss(v, old, target).item() == pytest.approx(0.08)  # .5 * max(.4^2, (.6 - .5)^2)
    assert value_loss(v, old, target, clip=None).item() == pytest.approx(0.08)
    # V = .55 beyond the target, clipped to .2 short of it: .5 * max(.05^2, .3^2) = .045
    near, far = torch.tensor([0.55]), torch.tensor([0.0])
    assert value_loss(near, far, target).item() == pytest.approx(0.045)
    assert value_loss(near, far, target, clip=None).item() == pytest.approx(0.00125)


def test_value_gradient_vanishes_where_the_clipped_error_is_the_larger() -> None:
    v = torch.tensor([0.55, 0.9], requires_grad=True)
    value_loss(v, torch.tensor([0.0, 0.4]), torch.tensor([0.5, 0.5])).sum().backward()
    torch.testing.assert_close(v.grad, torch.tensor([0.0, 0.4]))


def three_tokens() -> tuple[Tensor, Tensor]:
    """Logits of a policy and a reference over a vocabulary small enough to enumerate."""
    return torch.tensor([0.2, -0.7, 1.1], dtype=torch.float64), torch.tensor([-0.3, 0.4, 0.5], dtype=torch.float64)


def test_exact_kl_by_hand() -> None:
    p, q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    # .5 ln 2 + .5 ln(2/3) = .5 ln(4/3)
    torch.testing.assert_close(exact_kl(p, q), torch.tensor(0.5 * math.log(4 / 3)))
    assert exact_kl(p, p) == 0
    assert exact_kl(p + 3.0, p).item() == pytest.approx(0, abs=1e-6)  # logits are unnormalised


def test_k3_has_the_kl_as_its_mean() -> None:
    logits, ref_logits = three_tokens()
    logp, ref_logp = logits.log_softmax(0), ref_logits.log_softmax(0)
    kl = exact_kl(logits, ref_logits)
    torch.testing.assert_close((logp.exp() * kl_k3(logp, ref_logp)).sum(), kl)


def expected_gradient(estimator: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Mean gradient of an estimator differentiated as a loss, over every token the policy may draw."""
    logits, ref_logits = three_tokens()
    logits.requires_grad_()
    logp = logits.log_softmax(0)
    (logp.detach().exp() * estimator(logp, ref_logits.log_softmax(0))).sum().backward()
    assert logits.grad is not None
    return logits.grad


def kl_gradient(*, reverse: bool) -> Tensor:
    """Gradient of KL(policy || reference), or of KL(reference || policy)."""
    logits, ref_logits = three_tokens()
    logits.requires_grad_()
    (exact_kl(logits, ref_logits) if reverse else exact_kl(ref_logits, logits)).backward()
    assert logits.grad is not None
    return logits.grad


def test_k3_is_not_to_be_differentiated_as_a_loss() -> None:
    torch.testing.assert_close(expected_gradient(kl_k3), kl_gradient(reverse=False))  # the other divergence
    assert not torch.allclose(kl_gradient(reverse=True), kl_gradient(reverse=False), atol=1e-2)


def test_kl_is_positive_when_the_policy_likes_its_own_tokens_better() -> None:
    assert kl_k3(torch.tensor([-1.0]), torch.tensor([-3.0])).item() == pytest.approx(math.exp(-2) + 1)


def test_k3_is_never_negative_and_never_overflows() -> None:
    gaps = torch.tensor([-1e4, -30.0, -1e-4, 0.0, 1e-4, 30.0, 1e4])
    k3 = kl_k3(torch.zeros(7), gaps)
    assert (k3 >= 0).all()
    assert k3.isfinite().all()
    assert k3[0] == 1e4 - 1  # exp(-1e4) - 1 + 1e4: only the exponential is clamped


def test_entries_that_cannot_be_drawn_count_nothing_even_in_gradients() -> None:
    logits = torch.tensor([[0.0, 0.0, -math.inf]], requires_grad=True)
    reference = torch.tensor([[0.0, math.log(3.0), -math.inf]])
    kl, h = exact_kl(logits, reference), entropy(logits)
    torch.testing.assert_close(kl, torch.tensor([0.5 * math.log(4 / 3)]))
    torch.testing.assert_close(h, torch.tensor([math.log(2)]))
    (kl + h).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_kl_is_infinite_where_the_policy_draws_what_the_reference_cannot() -> None:
    assert exact_kl(torch.zeros(2), torch.tensor([0.0, -math.inf])) == math.inf


def test_entropy_and_exact_kl_gradients_agree_with_finite_differences() -> None:
    torch.manual_seed(0)
    logits, ref = torch.randn(2, 4).double().requires_grad_(), torch.randn(2, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(exact_kl, (logits, ref))
    assert torch.autograd.gradcheck(entropy, (logits,))


def test_entropy_of_a_uniform_choice_is_the_log_of_its_size() -> None:
    torch.testing.assert_close(entropy(torch.zeros(2, 3, 8)), torch.full((2, 3), math.log(8)))
    assert entropy(torch.tensor([1e4, 0.0])) == 0


GARBAGE = torch.tensor([[1.0, 3.0, math.nan, math.inf], [8.0, -math.inf, math.nan, math.nan]])
COUNTS = torch.tensor([[True, True, False, False], [True, False, False, False]])


def test_masked_mean_by_hand_and_blind_to_garbage() -> None:
    x = GARBAGE.clone().requires_grad_()
    mean = masked_mean(x, COUNTS)
    mean.backward()
    assert mean == 4.0  # (1 + 3 + 8) / 3
    torch.testing.assert_close(x.grad, COUNTS / 3)


def test_mean_of_nothing_is_zero_and_teaches_nothing() -> None:
    x = torch.full((3,), math.nan, requires_grad=True)
    mean = masked_mean(x, torch.zeros(3, dtype=torch.bool))
    mean.backward()
    assert mean == 0
    torch.testing.assert_close(x.grad, torch.zeros(3))


@pytest.mark.parametrize("shift_mean", [True, False])
def test_whitening_equals_a_loop_over_what_counts(shift_mean: bool) -> None:
    torch.manual_seed(0)
    x, mask = torch.randn(5, 7).double() * 3 + 2, torch.rand(5, 7) < 0.6
    counted = [v for v, m in zip(x.flatten().tolist(), mask.flatten().tolist(), strict=True) if m]
    mean = sum(counted) / len(counted)
    std = math.sqrt(sum((v - mean) ** 2 for v in counted) / len(counted) + 1e-8)
    expected = [(v - mean) / std + (0 if shift_mean else mean) for v in counted]
    got = masked_whiten(torch.where(mask, x, math.nan), mask, shift_mean=shift_mean)
    assert got[mask].tolist() == pytest.approx(expected)
    assert (got[~mask] == 0).all()


def test_whitened_advantages_by_hand() -> None:
    a = torch.tensor([0.63423, 0.57288, 0.7925, 0.55])  # Stiennon notes, 3.3
    got = masked_whiten(a, torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(got, torch.tensor([-0.03348, -0.68142, 1.63788, -0.92298]), rtol=0, atol=1e-4)


def test_garbage_leaks_neither_into_whitened_values_nor_into_gradients() -> None:
    x = GARBAGE.clone().requires_grad_()
    got = masked_whiten(x, COUNTS)
    got.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    std = math.sqrt(26 / 3)  # mean 4, squares 9 + 1 + 16
    torch.testing.assert_close(got, torch.tensor([[-3 / std, -1 / std, 0, 0], [4 / std, 0, 0, 0]]))


def test_whitening_something_constant_gives_zeros_not_nan() -> None:
    for x, mask in ((torch.ones(3), torch.ones(3) > 0), (torch.ones(3), torch.ones(3) < 0)):
        assert (masked_whiten(x, mask) == 0).all()


def test_padding_more_changes_nothing() -> None:
    torch.manual_seed(0)
    x, mask = torch.randn(3, 4), torch.ones(3, 4, dtype=torch.bool)
    wide, wide_mask = torch.full((3, 9), math.nan), torch.zeros(3, 9, dtype=torch.bool)
    wide[:, :4], wide_mask[:, :4] = x, mask
    torch.testing.assert_close(masked_mean(wide, wide_mask), masked_mean(x, mask))
    torch.testing.assert_close(masked_whiten(wide, wide_mask)[:, :4], masked_whiten(x, mask))


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (12.0, 0.151536),  # error clamped to .2: .15 * (1 + .2 * .0512)
        (0.0, 0.148464),
        (6.3, 0.150384),  # error .05
        (6.0, 0.15),
    ],
)
def test_adaptive_coefficient_by_hand(kl: float, expected: float) -> None:
    assert adaptive_kl_step(0.15, kl, target=6.0, n_episodes=512) == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("kl", [math.nan, math.inf])
def test_a_kl_that_is_not_finite_stops_training(kl: float) -> None:
    with pytest.raises(TrainingStopped, match=f"KL must be finite to set its coefficient, got {kl}"):
        adaptive_kl_step(0.15, kl, target=6.0, n_episodes=512)


def test_settings_out_of_range_are_refused_with_the_allowed_range() -> None:
    one = torch.zeros(1)
    for clip in (0.0, 1.0, -0.2, math.nan):
        with pytest.raises(ConfigError, match=r"clip must be in \(0, 1\)"):
            ppo_policy_loss(one, one, one, clip=clip)
        with pytest.raises(ConfigError, match=r"clip must be in \(0, 1\)"):
            clip_fraction(one, one, one, clip=clip)
    with pytest.raises(ConfigError, match="value clip must be above 0"):
        value_loss(one, one, one, clip=0.0)
    with pytest.raises(ConfigError, match="limit must be above 0"):
        log_ratio(one, one, limit=0.0)
    with pytest.raises(ConfigError, match=r"KL target must be in \(0, inf\)"):
        adaptive_kl_step(0.15, 6.0, target=0.0, n_episodes=512)
    with pytest.raises(ConfigError, match=r"KL coefficient must be in \[0, inf\)"):
        adaptive_kl_step(-0.15, 6.0, target=6.0, n_episodes=512)
    with pytest.raises(ConfigError, match=r"n_episodes must be in \[0, 5 \* horizon\), got 50"):
        adaptive_kl_step(0.15, 6.0, target=6.0, n_episodes=50, horizon=10)  # could turn the coefficient negative


def test_arguments_that_would_broadcast_are_refused() -> None:
    with pytest.raises(TypeCheckError, match="item"):
        ppo_policy_loss(torch.zeros(2, 3), torch.zeros(3), torch.zeros(2, 3))
    with pytest.raises(TypeCheckError, match="item"):
        masked_mean(torch.zeros(2, 3), torch.ones(2, 1, dtype=torch.bool))
    with pytest.raises(TypeCheckError, match="mask"):
        masked_mean(torch.zeros(3), torch.ones(3))  # type: ignore[arg-type]  # a mask of floats


def test_reinforce_loss_is_minus_advantage_times_log_probability_and_teaches_the_policy_alone() -> None:
    logp = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    advantages = torch.tensor([2.0, -1.0, 0.0], requires_grad=True)
    loss = reinforce_loss(logp, advantages)
    torch.testing.assert_close(loss.detach(), torch.tensor([2.0, -2.0, 0.0]))
    loss.sum().backward()
    torch.testing.assert_close(logp.grad, torch.tensor([-2.0, 1.0, 0.0]))
    assert advantages.grad is None


def test_reinforce_and_ppo_agree_in_gradient_where_the_policy_has_not_moved() -> None:
    torch.manual_seed(0)
    start, advantages = torch.randn(6), torch.randn(6)
    one, other = start.clone().requires_grad_(), start.clone().requires_grad_()
    reinforce_loss(one, advantages).sum().backward()
    ppo_policy_loss(other, start, advantages).sum().backward()
    torch.testing.assert_close(one.grad, other.grad)


def test_value_clip_fraction_counts_the_items_without_a_gradient() -> None:
    # V .9, V_old .4. R .5: (.6 - .5)^2 < (.9 - .5)^2, not clipped; R 2: (.6 - 2)^2 > (.9 - 2)^2, clipped
    values, old, returns = torch.tensor([0.9, 0.9]), torch.tensor([0.4, 0.4]), torch.tensor([0.5, 2.0])
    assert value_clip_fraction(values, old, returns).item() == 0.5
    assert value_clip_fraction(values, old, returns, clip=None).item() == 0.0
    leaf = values.clone().requires_grad_()
    value_loss(leaf, old, returns).sum().backward()
    assert (leaf.grad == 0).tolist() == [False, True]
