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


def test_a_labels_weight_stays_however_many_come_after_it() -> None:
    own = member()
    everything = own.bootstrap_weights(60)
    assert np.array_equal(own.bootstrap_weights(25), everything[:25])
    assert np.array_equal(own.bootstrap_weights(35, first=25), everything[25:])
    other = EnsembleMember(First(), EnsembleConfig(), seed=(0, 1)).bootstrap_weights(60)
    assert not np.array_equal(other, everything)


def test_weights_are_drawn_from_a_poisson_distribution_of_mean_one() -> None:
    weights = member().bootstrap_weights(4000)
    assert abs(weights.mean() - 1) < 4 / 4000**0.5
    held_out = (weights == 0).mean()
    assert abs(held_out - np.exp(-1)) < 4 * (np.exp(-1) * (1 - np.exp(-1)) / 4000) ** 0.5


def test_without_a_bootstrap_all_labels_count_once() -> None:
    own = EnsembleMember(First(), EnsembleConfig(bootstrap=False, l2_step=0.0), seed=(0, 0))
    assert own.bootstrap_weights(3).tolist() == [1.0, 1.0, 1.0]


def weight_of(own: EnsembleMember) -> float:
    return float(own.network.state_dict()["weight"])


PLAIN = EnsembleConfig(l2=0.0, l2_step=0.0, learning_rate=0.1)


def fitted(labels: list[tuple[float, float, Response]], weights: list[float]) -> float:
    """The weight after one epoch in a single batch."""
    own = EnsembleMember(First(), PLAIN, seed=(0, 0))
    own.fit_epoch(pairs(*labels), np.array(weights), 0)
    return weight_of(own)


def test_an_epoch_moves_towards_the_answers_and_labels_of_weight_0_are_not_read() -> None:
    right, wrong = (2.0, 0.0, "left"), (2.0, 0.0, "right")
    assert fitted([right], [1.0]) > 1.0 > fitted([wrong], [1.0])
    assert fitted([right, wrong], [1.0, 0.0]) == fitted([right], [1.0])
    assert fitted([right], [0.0]) == 1.0  # nothing to fit


def test_a_label_drawn_twice_is_two_labels() -> None:
    """Two against one is a majority, whether by weight or by number."""
    right, wrong = (2.0, 0.0, "left"), (2.0, 0.0, "right")
    by_weight = fitted([right, wrong], [2.0, 1.0])
    by_number = fitted([right, right, wrong], [1.0, 1.0, 1.0])
    assert by_weight == pytest.approx(by_number, abs=1e-6) and by_weight != 1.0


def test_weight_decay_is_the_gradient_of_l2_times_the_squared_norm() -> None:
    """Equal clips pull nowhere: what is left of the gradient is 2 * l2 * weight, and Adam's first step is its rate."""
    own = EnsembleMember(First(), EnsembleConfig(l2=0.5, l2_step=0.0, learning_rate=0.01), seed=(0, 0))
    own.fit_epoch(pairs((1.0, 1.0, "tie")), np.array([1.0]), 0)
    assert weight_of(own) == pytest.approx(0.99, abs=1e-5)
    assert own.optimiser.param_groups[0]["weight_decay"] == 1.0


def test_a_state_goes_on_as_it_was() -> None:
    data = pairs((2.0, 0.0, "left"), (0.0, 1.0, "left"))
    first, second = (EnsembleMember(First(), PLAIN, seed=(0, 0)) for _ in range(2))
    first.fit_epoch(data, np.array([1.0, 1.0]), 0)
    second.load_state(first.state())
    for own in (first, second):
        own.fit_epoch(data, np.array([1.0, 1.0]), 1)
    assert all(torch.equal(tensor, second.state()[name]) for name, tensor in first.state().items())
