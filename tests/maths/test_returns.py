"""Token rewards and advantages, by hand, against loops, and with garbage in the padding."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import Tensor

from preflab.errors import ConfigError, DataError
from preflab.maths.policy import masked_whiten
from preflab.maths.returns import gae, gae_of_stretch, leave_one_out, rewards_to_go, token_rewards


def prefix_mask(lengths: list[int], width: int) -> Tensor:
    return torch.arange(width) < torch.tensor(lengths)[:, None]


def test_token_rewards_by_hand() -> None:
    logp, ref = torch.tensor([[-1.0, -0.5, -2.0]]), torch.tensor([[-1.2, -0.4, -2.5]])  # Stiennon notes, 3.2
    rewards = token_rewards(logp, ref, torch.tensor([1.3]), torch.ones(1, 3, dtype=torch.bool), 0.05)
    # -.05 * .2, -.05 * -.1, 1.3 - .05 * .5
    torch.testing.assert_close(rewards, torch.tensor([[-0.010, 0.005, 1.275]]))
    assert rewards.sum().item() == pytest.approx(1.270)


def test_rewards_of_a_reply_sum_to_the_score_less_the_penalty() -> None:
    torch.manual_seed(0)
    logp, ref, score, mask = torch.randn(4, 6), torch.randn(4, 6), torch.randn(4), prefix_mask([1, 3, 6, 4], 6)
    total = token_rewards(logp, ref, score, mask, 0.3).sum(dim=1)
    torch.testing.assert_close(total, score - 0.3 * ((logp - ref) * mask).sum(dim=1))


def test_the_score_comes_at_the_last_token_that_counts() -> None:
    zeros, score = torch.zeros(3, 4), torch.tensor([5.0, 6.0, 7.0])
    mask = prefix_mask([2, 4, 1], 4)
    mask[1] = torch.tensor([False, True, True, False])  # need not start at the first token
    expected = torch.tensor([[0.0, 5, 0, 0], [0, 0, 6, 0], [7, 0, 0, 0]])
    torch.testing.assert_close(token_rewards(zeros, zeros, score, mask, 0.1), expected)


def test_rewards_are_constants() -> None:
    logp, score = torch.zeros(1, 2, requires_grad=True), torch.ones(1, requires_grad=True)
    rewards = token_rewards(logp, torch.zeros(1, 2), score, torch.ones(1, 2, dtype=torch.bool), 0.1)
    assert not rewards.requires_grad


def test_advantages_and_returns_by_hand() -> None:
    # Stiennon notes, 3.3. Backwards: d3 = .95 - .4 = .55; d2 = -.03 + .4 - .1 = .27, A2 = .27 + .95 * .55 = .7925;
    # d1 = .02 + .1 - .3 = -.18, A1 = -.18 + .95 * .7925 = .572875; d0 = -.01 + .3 - .2 = .09, A0 = .634231
    rewards, values = torch.tensor([[-0.01, 0.02, -0.03, 0.95]]), torch.tensor([[0.2, 0.3, 0.1, 0.4]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    advantages, returns = gae(rewards, values, mask)
    torch.testing.assert_close(advantages, torch.tensor([[0.63423, 0.57288, 0.7925, 0.55]]), rtol=0, atol=1e-5)
    torch.testing.assert_close(returns, torch.tensor([[0.83423, 0.87288, 0.8925, 0.95]]), rtol=0, atol=1e-5)
    white = torch.tensor([[-0.03348, -0.68142, 1.63788, -0.92298]])
    torch.testing.assert_close(masked_whiten(advantages, mask), white, rtol=0, atol=1e-5)


def looped(rewards: list[float], values: list[float], discount: float, trace: float) -> list[float]:
    """Sum over the future of (discount * trace)^k * delta, by definition."""
    after = [*values, 0.0][1:]
    deltas = [r + discount * v1 - v for r, v, v1 in zip(rewards, values, after, strict=True)]
    n = len(rewards)
    return [sum((discount * trace) ** k * deltas[t + k] for k in range(n - t)) for t in range(n)]


@pytest.mark.parametrize(("discount", "trace"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.99, 0.0), (0.0, 0.7)])
def test_advantages_equal_their_definition_row_by_row(discount: float, trace: float) -> None:
    torch.manual_seed(0)
    lengths = [3, 6, 1, 0]
    rewards, values = torch.randn(4, 6).double(), torch.randn(4, 6).double()
    advantages, returns = gae(rewards, values, prefix_mask(lengths, 6), discount=discount, trace=trace)
    for i, n in enumerate(lengths):
        expected = looped(rewards[i, :n].tolist(), values[i, :n].tolist(), discount, trace)
        assert advantages[i, :n].tolist() == pytest.approx(expected)
        assert returns[i, :n].tolist() == pytest.approx((advantages[i, :n] + values[i, :n]).tolist())
        assert (advantages[i, n:] == 0).all()
        assert (returns[i, n:] == 0).all()


def test_full_trace_without_discount_returns_the_rewards_still_to_come() -> None:
    torch.manual_seed(0)
    rewards, values = torch.randn(2, 5), torch.randn(2, 5)
    _, returns = gae(rewards, values, torch.ones(2, 5, dtype=torch.bool), trace=1.0)
    torch.testing.assert_close(returns, rewards.flip(1).cumsum(1).flip(1))


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e30])
def test_garbage_in_any_amount_of_padding_changes_nothing(garbage: float) -> None:
    torch.manual_seed(0)
    logp, ref, values, score = torch.randn(3, 5), torch.randn(3, 5), torch.randn(3, 5), torch.randn(3)
    mask = prefix_mask([2, 5, 4], 5)

    def both(extra: int) -> tuple[Tensor, ...]:
        wide = torch.nn.functional.pad(mask, (0, extra))
        x, y, v = (torch.where(wide, torch.nn.functional.pad(t, (0, extra)), garbage) for t in (logp, ref, values))
        rewards = token_rewards(x, y, score, wide, 0.1)
        return rewards, *gae(torch.where(wide, rewards, garbage), v, wide)

    for clean, padded in zip(both(0), both(7), strict=True):
        torch.testing.assert_close(clean, padded[:, :5], rtol=0, atol=0)
        assert (padded[:, 5:] == 0).all()
        assert (clean[~mask] == 0).all()


def test_no_tokens_at_all_give_empty_results() -> None:
    empty = torch.zeros(2, 0)
    advantages, returns = gae(empty, empty, empty.bool())
    assert advantages.shape == returns.shape == (2, 0)


def test_a_score_that_would_be_lost_is_refused() -> None:
    x = torch.zeros(3, 2)
    with pytest.raises(DataError, match="sample 1 has none"):
        token_rewards(x, x, torch.ones(3), prefix_mask([1, 0, 2], 2), 0.1)


@pytest.mark.parametrize("row", [[True, False, True], [False, True, True]])
def test_a_mask_with_a_gap_or_padding_on_the_left_is_refused(row: list[bool]) -> None:
    x = torch.zeros(2, 3)
    with pytest.raises(DataError, match="sample 1 has a token after padding"):
        gae(x, x, torch.tensor([[True, True, False], row]))


def test_settings_out_of_range_are_refused_with_the_allowed_range() -> None:
    x, mask = torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool)
    with pytest.raises(ConfigError, match=r"discount must be in \[0, 1\], got 1.1"):
        gae(x, x, mask, discount=1.1)
    with pytest.raises(ConfigError, match=r"trace must be in \[0, 1\], got -0.1"):
        gae(x, x, mask, trace=-0.1)
    with pytest.raises(ConfigError, match=r"KL coefficient must be in \[0, inf\), got -0.1"):
        token_rewards(x, x, torch.zeros(1), mask, -0.1)  # a penalty, not a bonus


def test_arguments_that_would_broadcast_are_refused() -> None:
    x, mask = torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(TypeCheckError, match="sample"):
        token_rewards(x, x, torch.zeros(1), mask, 0.1)
    with pytest.raises(TypeCheckError, match="token"):
        gae(x, torch.zeros(2, 1), mask)


def test_leave_one_out_by_hand() -> None:
    # 1 - (2 + 6)/2 = -3; 2 - (1 + 6)/2 = -1.5; 6 - (1 + 2)/2 = 4.5. Two samples: each against the other.
    found = leave_one_out(torch.tensor([[1.0, 2.0, 6.0]]))
    torch.testing.assert_close(found, torch.tensor([[-3.0, -1.5, 4.5]]))
    torch.testing.assert_close(leave_one_out(torch.tensor([[3.0, 1.0]])), torch.tensor([[2.0, -2.0]]))


def test_leave_one_out_equals_a_loop_and_sums_to_zero_whatever_the_prompt_is_worth() -> None:
    torch.manual_seed(0)
    rewards = torch.randn(5, 4, dtype=torch.float64)
    wanted = [
        [float(r[i]) - sum(float(r[j]) for j in range(4) if j != i) / 3 for i in range(4)] for r in rewards.unbind()
    ]
    torch.testing.assert_close(leave_one_out(rewards), torch.tensor(wanted, dtype=torch.float64))
    torch.testing.assert_close(leave_one_out(rewards + 100.0), leave_one_out(rewards))
    assert float(leave_one_out(rewards).sum(1).abs().max()) < 1e-12


def test_a_single_sample_has_nothing_to_be_compared_with() -> None:
    with pytest.raises(DataError, match="at least 2 samples"):
        leave_one_out(torch.ones(3, 1))


def test_rewards_to_go_by_hand_and_blind_to_padding() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0], [5.0, 6.0, math.nan]])
    expected = torch.tensor([[7.0, 6.0, 4.0], [11.0, 6.0, 0.0]])
    torch.testing.assert_close(rewards_to_go(rewards, prefix_mask([3, 2], 3)), expected)


def test_rewards_to_go_less_a_value_is_the_advantage_at_trace_one() -> None:
    torch.manual_seed(0)
    rewards, values, mask = torch.randn(3, 5), torch.randn(3, 5), prefix_mask([5, 2, 4], 5)
    advantages, _ = gae(rewards, values, mask, discount=1.0, trace=1.0)
    torch.testing.assert_close(rewards_to_go(rewards, mask) - torch.where(mask, values, 0.0), advantages)


def test_gae_of_a_stretch_by_hand() -> None:
    # One copy, discount 1/2, trace 1/2, an episode ends after the second step; values 1, 1, 1, and 4 behind the last.
    # Errors: 1 + .5 * 1 - 1 = .5; 2 + .5 * 3 - 1 = 2.5 (3 is what the end is worth); 3 + .5 * 4 - 1 = 4.
    # Advantages: 4; 2.5 (nothing over the end); .5 + .25 * 2.5 = 1.125.
    column = [torch.tensor(x)[:, None] for x in ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [1.0, 3.0, 4.0])]
    ended = torch.tensor([[False], [True], [False]])
    advantages, returns = gae_of_stretch(*column, ended, discount=0.5, trace=0.5)
    torch.testing.assert_close(advantages[:, 0], torch.tensor([1.125, 2.5, 4.0]))
    torch.testing.assert_close(returns, advantages + 1.0)


def test_gae_of_a_stretch_is_that_of_replies_where_the_world_ends_with_it() -> None:
    torch.manual_seed(0)
    rewards, values = torch.randn(3, 6), torch.randn(3, 6)
    after = torch.cat([values[:, 1:], torch.zeros(3, 1)], dim=1)
    whole = torch.ones(3, 6, dtype=torch.bool)
    expected = gae(rewards, values, whole, discount=0.9, trace=0.8)
    found = gae_of_stretch(rewards.T, values.T, after.T, ~whole.T, discount=0.9, trace=0.8)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.T, other)


def test_trace_one_gives_n_step_returns_within_episodes() -> None:
    torch.manual_seed(0)
    rewards, values, after = (torch.randn(7, 2, dtype=torch.float64) for _ in range(3))
    ended = torch.zeros(7, 2, dtype=torch.bool)
    ended[3, 0] = True
    _, returns = gae_of_stretch(rewards, values, torch.where(ended, after, _shifted(values, after)), ended, trace=1.0)
    for env, start, end in ((0, 0, 3), (0, 4, 6), (1, 0, 6)):
        for t in range(start, end + 1):
            wanted = sum(0.995 ** (s - t) * float(rewards[s, env]) for s in range(t, end + 1))
            wanted += 0.995 ** (end + 1 - t) * float(after[end, env])
            assert float(returns[t, env]) == pytest.approx(wanted)


def _shifted(values: Tensor, after: Tensor) -> Tensor:
    return torch.cat([values[1:], after[-1:]])


@pytest.mark.parametrize("name", ["discount", "trace"])
def test_shares_out_of_range_are_refused_for_stretches(name: str) -> None:
    x = torch.zeros(1, 1)
    with pytest.raises(ConfigError, match=name):
        gae_of_stretch(x, x, x, x.bool(), **{name: 1.5})
