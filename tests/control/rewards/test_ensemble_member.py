"""One member: its scale, its accuracy, and how its regularisation follows the ratio of losses."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from preflab.control.clips import Clip
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.ensemble_member import EnsembleMember, discounted_return
from preflab.control.rewards.labelled_pairs import LabelledPairs
from preflab.control.rewards.labels import Label, LabelBuffer, Response


class First(nn.Module):
    """The first number of an observation, times a weight of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        return self.weight * observations[:, 0].float()


def pairs(*labels: tuple[float, float, Response]) -> LabelledPairs:
    """Pairs of clips of one step with given rewards, and the answers to them."""
    buffer = LabelBuffer()
    for k, (left, right, response) in enumerate(labels):
        clips = [Clip(2 * k + i, np.array([[x]]), np.zeros((1, 1)), np.zeros(1)) for i, x in enumerate((left, right))]
        buffer.add(Label(2 * k, 2 * k + 1, response, "o", 0), *clips)
    return LabelledPairs(buffer, buffer.usable)


def member(**settings: float) -> EnsembleMember:
    return EnsembleMember(First(), EnsembleConfig(**settings), seed=(0, 0))  # type: ignore[arg-type]


def test_losses_are_read_where_labels_count_and_where_they_do_not() -> None:
    """A gap of 2 nats on the right side has a loss of 0.165718 with lapse 0.1, on the wrong side 2.063128."""
    own, data = member(l2_step=0.0), pairs((2.0, 0.0, "left"), (2.0, 0.0, "right"), (0.0, 0.0, "tie"))
    found = own.evaluate(data, np.array([3.0, 0.0, 0.0]))
    right, wrong = -np.log(0.9 / (1 + np.exp(-2)) + 0.05), -np.log(0.9 / (1 + np.exp(2)) + 0.05)
    assert found.train_loss == pytest.approx(right, abs=1e-6)
    assert found.held_out_loss == pytest.approx((wrong + np.log(2)) / 2, abs=1e-6)
    assert found.accuracy == 0.0  # the tie has no side
    assert own.evaluate(data, np.zeros(3)).train_loss is None
    assert own.evaluate(data, np.ones(3)).held_out_loss is None


def test_l2_grows_where_held_out_labels_are_worse_and_shrinks_where_they_are_not() -> None:
    data = pairs((2.0, 0.0, "left"), (2.0, 0.0, "right"))
    worse, better = member(l2=0.01), member(l2=0.01)
    worse.evaluate(data, np.array([1.0, 0.0]))
    better.evaluate(data, np.array([0.0, 1.0]))
    assert (worse.l2, better.l2) == pytest.approx((0.011, 0.009))


def test_rewards_are_brought_to_the_deviation_that_is_asked_for() -> None:
    own, raw = member(target_std=0.05), np.array([1.0, 3.0, 5.0, 7.0])
    scaled = own.normalise(raw, learn_scale=True)
    assert (scaled.mean(), scaled.std()) == pytest.approx((0.0, 0.05))
    assert np.array_equal(own.normalise(raw, learn_scale=False), scaled)


def test_later_steps_may_count_less() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    assert (discounted_return(rewards, 1.0).item(), discounted_return(rewards, 0.5).item()) == (7.0, 3.0)
