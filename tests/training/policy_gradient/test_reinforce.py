"""REINFORCE's running baseline by hand, and its settings; its gradients are in test_policy_gradient_oracle."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from preflab.data.rows import Row, collate
from preflab.errors import ConfigError
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.training.policy_gradient.method import Advantages, Minibatch
from preflab.training.policy_gradient.reinforce import Reinforce, ReinforceConfig, RunningBaseline
from tests.training.policy_gradient.grids import grid_of


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (None, [2.0, 2.0, 4.0]),  # (1 + 3)/2 of itself; the same, of the step before; (1 + 3 + 8)/3
        (0.5, [2.0, 2.0, 5.0]),  # weights .5 for 1 and 3, 1 for 8: (2 + 8)/(1 + 1)
    ],
)
def test_the_running_mean_by_hand(decay: float | None, expected: list[float]) -> None:
    baseline = RunningBaseline(decay)
    steps = [[1.0, 3.0], [8.0], [0.0]]
    assert [baseline.update(torch.tensor(step)) for step in steps] == pytest.approx(expected)


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="baseline_decay"):
        ReinforceConfig(baseline_decay=1.0)
    with pytest.raises(ConfigError, match="needs baseline=value"):
        ReinforceConfig(value_warmup_steps=1)
    with pytest.raises(ConfigError, match="value model is not given"):
        Reinforce(ReinforceConfig(baseline="value"))
    value = Trunk(load_language_model("tiny", precision="fp32"), None).add_role("value", head=True)
    with pytest.raises(ConfigError, match="baseline=mean, and a value model is given"):
        Reinforce(ReinforceConfig(), value)


def test_the_baseline_is_all_that_it_remembers_without_a_value_model() -> None:
    method, other = Reinforce(ReinforceConfig()), Reinforce(ReinforceConfig())
    method.baseline.update(torch.tensor([1.0, 3.0]))
    assert method.state().keys() == {"baseline"}
    other.load_state(method.state())
    assert other.baseline.update(torch.tensor([7.0])) == 2.0


BATCH = grid_of([3, 1])
REWARDS = torch.tensor([[-0.5, 0.0, 3.5], [1.0, 0.0, 0.0]])


def advantages_of(method: Reinforce, rewards: Tensor = REWARDS) -> Advantages:
    return method.advantages(BATCH, rewards)


def test_every_token_has_its_whole_replys_reward_less_the_baseline() -> None:
    method = Reinforce(ReinforceConfig())
    first = advantages_of(method)  # its own baseline: 3 and 1, mean 2
    assert first.advantages.tolist() == [[1.0] * 3, [-1.0] * 3]
    assert first.metrics["baseline"] == 2.0 and first.targets is None
    assert first.metrics["advantage_std"] == pytest.approx((0.75) ** 0.5)  # three tokens of 1, one of -1: 1 - 1/4
    second = advantages_of(method, REWARDS + torch.tensor([[0.0, 0.0, 6.0], [8.0, 0.0, 0.0]]))
    assert second.advantages[:, 0].tolist() == [7.0, 7.0]  # 9 - 2 both


def test_whitened_advantages_have_mean_0_and_deviation_1_over_reply_tokens() -> None:
    found = advantages_of(Reinforce(ReinforceConfig(whiten_advantages=True))).advantages[BATCH.mask]
    assert float(found.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(found.std(correction=0)) == pytest.approx(1.0, rel=1e-4)


def test_a_replys_loss_is_minus_advantage_times_its_log_probability() -> None:
    method = Reinforce(ReinforceConfig())
    batch = collate([Row.of([3, 4], [70, 71, 1], [80])])
    logp = torch.tensor([-1.0, -2.0, -3.0, -0.25], requires_grad=True)
    advantages = torch.tensor([2.0, 2.0, 2.0, -1.0])
    losses, metrics = method.losses(logp, Minibatch(batch, logp.detach(), advantages))
    assert losses.tolist() == [12.0, -0.25] and metrics == {}
    losses.sum().backward()
    assert logp.grad is not None and logp.grad.tolist() == [-2.0, -2.0, -2.0, 1.0]


@given(st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=4), min_size=1, max_size=6))
@settings(deadline=None)
def test_without_decay_the_baseline_is_the_mean_of_all_earlier_replies(steps: list[list[float]]) -> None:
    baseline, earlier = RunningBaseline(None), list[float]()
    for step in steps:
        found = baseline.update(torch.tensor(step, dtype=torch.float64))
        before = earlier or step
        assert found == pytest.approx(sum(before) / len(before), abs=1e-9)
        earlier += step
