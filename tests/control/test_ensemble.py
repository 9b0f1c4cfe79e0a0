"""The ensemble: its loss by hand, bootstraps, normalisation, adapted regularisation, exact resume."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from preflab.control.clips import Clip
from preflab.control.ensemble import EnsembleConfig, RewardEnsemble
from preflab.control.labels import Label, Labels
from preflab.control.oracle import Oracle
from preflab.control.predictor import MLP
from preflab.errors import TrainingStopped

WEIGHTS = np.array([1.0, -2.0, 0.5])


def labelled(n: int, *, steps: int = 5, seed: int = 0) -> Labels:
    """Pairs of random clips whose true reward is linear in the observation, judged by the oracle."""
    rng, labels, oracle = np.random.default_rng(seed), Labels(), Oracle()
    for k in range(n):
        pair = []
        for side in (0, 1):
            observations = rng.normal(size=(steps, 3))
            pair.append(Clip(2 * k + side, observations, np.zeros((steps, 1)), observations @ WEIGHTS))
        labels.add(Label(2 * k, 2 * k + 1, oracle(*pair, rng), "oracle", 0), *pair)
    return labels


def make() -> nn.Module:
    return MLP(3, 1, hidden=(16,))


class Fixed(nn.Module):
    """Reward ``scale * first number + shift``."""

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.tensor(scale)), shift

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        return self.scale * observations[:, 0] + self.shift


def test_the_loss_is_the_papers_by_hand() -> None:
    """Returns 2 and 1 apart: 1 nat of gap, lapse 0.1: 0.345378 for the right label, 1.230840 for the wrong one."""
    ensemble = RewardEnsemble(lambda: Fixed(1.0, 0.3), EnsembleConfig(members=1, bootstrap=False, l2_step=0.0))
    labels = Labels()
    a = Clip(0, np.array([[1.0], [1.0]]), np.zeros((2, 1)), np.array([1.0, 1.0]))
    b = Clip(1, np.array([[0.5], [0.5]]), np.zeros((2, 1)), np.array([0.5, 0.5]))
    for response, expected in (("left", 0.345378), ("right", 1.230840), ("tie", 0.788109)):
        labels.all.clear()
        labels.add(Label(0, 1, response, "o", 0), a, b)  # type: ignore[arg-type]
        data = tuple(torch.as_tensor(x).float() for x in labels.arrays(labels.usable))
        loss = ensemble._losses(ensemble.members[0], data, None, torch.tensor([0])).detach()
        assert float(loss[0]) == pytest.approx(expected, abs=1e-5)


def test_a_discount_weighs_later_steps_less() -> None:
    ensemble = RewardEnsemble(lambda: Fixed(1.0, 0.0), EnsembleConfig(members=1, discount=0.5))
    observations = np.array([[[[1.0], [2.0], [4.0]], [[0.0], [0.0], [8.0]]]])
    assert ensemble.gaps(observations, np.zeros((1, 2, 3, 1))).item() == pytest.approx(1 + 1 + 1 - 2)


def test_a_planted_reward_is_learned() -> None:
    labels = labelled(300)
    ensemble = RewardEnsemble(make)
    found = ensemble.fit(labels, epochs=40)
    assert min(own for own in found.accuracy if own is not None) > 0.85
    points = np.random.default_rng(9).normal(size=(500, 3))
    raw = ensemble.raw(torch.as_tensor(points).float(), torch.zeros(500, 1)).mean(dim=0).numpy()
    assert np.corrcoef(raw, points @ WEIGHTS)[0, 1] > 0.95


def test_the_ablation_fits_returns_themselves() -> None:
    ensemble = RewardEnsemble(make, EnsembleConfig(members=1, target=True, l2=0.0))
    found = ensemble.fit(labelled(200), epochs=150)
    assert found.train_loss[0] < 1.0, "the variance of a clip's return is 5 * 5.25"


def test_each_member_has_a_bootstrap_that_keeps_as_labels_come() -> None:
    ensemble, labels = RewardEnsemble(make, seed=3), labelled(400)
    weights = ensemble.weights_of(labels.usable)
    assert weights.shape == (3, 400)
    assert (weights == 0).mean(axis=1) == pytest.approx([1 / np.e] * 3, abs=0.08)
    assert weights.mean(axis=1) == pytest.approx([1.0] * 3, abs=0.15)
    assert np.array_equal(ensemble.weights_of(labels.usable[:100]), weights[:, :100])
    assert np.array_equal(ensemble.weights_of(labels.usable[250:], first=250), weights[:, 250:])
    assert not np.array_equal(weights[0], weights[1])


def test_members_are_normalised_one_by_one_and_then_averaged() -> None:
    """A member of large scale does not drown the others; a constant or a factor changes nothing."""
    made = iter([Fixed(1.0, 0.0), Fixed(-1000.0, 5.0), Fixed(0.01, -3.0)])
    ensemble = RewardEnsemble(lambda: next(made), EnsembleConfig(target_std=0.05))
    points = torch.as_tensor(np.random.default_rng(0).normal(2.0, 3.0, size=(4000, 1))).float()
    rewards = ensemble.rewards(points, torch.zeros(4000, 1))
    own = (points[:, 0].numpy() - float(points.mean())) / float(points.std(unbiased=False))
    assert rewards == pytest.approx(0.05 * own / 3, abs=1e-5)
    assert abs(rewards.mean()) < 1e-6


def test_the_scale_may_be_looked_at_without_learning_it() -> None:
    ensemble = RewardEnsemble(make)
    points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    ensemble.rewards(points, torch.zeros(50, 1), learn_scale=False)
    assert [own.count for own in ensemble.running] == [0, 0, 0]
    ensemble.rewards(points, torch.zeros(50, 1))
    assert [own.count for own in ensemble.running] == [50, 50, 50]
    ensemble.reset_scale()
    assert [own.count for own in ensemble.running] == [0, 0, 0]


@pytest.mark.parametrize(("low", "high", "grows"), [(0.01, 0.02, True), (90.0, 100.0, False)])
def test_regularisation_follows_the_ratio_of_losses(low: float, high: float, grows: bool) -> None:
    ensemble = RewardEnsemble(make, EnsembleConfig(low_ratio=low, high_ratio=high, l2=1e-3))
    found = ensemble.fit(labelled(60), epochs=3)
    expected = 1e-3 * (1.1**3 if grows else 0.9**3)
    assert found.l2 == pytest.approx([expected] * 3)


def test_it_goes_on_exactly_where_it_stopped() -> None:
    labels = labelled(50)
    whole, first = (RewardEnsemble(lambda: MLP(3, 1, hidden=(8,), dropout=0.2)) for _ in range(2))
    whole.fit(labels, epochs=6)
    first.fit(labels, epochs=2)
    second = RewardEnsemble(lambda: MLP(3, 1, hidden=(8,), dropout=0.2), seed=0)
    second.load_state(first.state())
    second.fit(labels, epochs=4)
    for key, value in whole.state().items():
        assert torch.equal(value, second.state()[key]), key


def test_a_prediction_that_is_not_finite_stops_the_run() -> None:
    ensemble = RewardEnsemble(lambda: Fixed(float("nan"), 0.0))
    with pytest.raises(TrainingStopped, match="not finite"):
        ensemble.rewards(torch.zeros(2, 1), torch.zeros(2, 1))


def test_without_labels_nothing_happens() -> None:
    ensemble = RewardEnsemble(make)
    assert ensemble.fit(Labels(), epochs=3).train_loss == []
    assert ensemble.epochs == 0
