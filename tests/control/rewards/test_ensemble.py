"""The ensemble: its loss by hand, bootstraps, normalisation, adapted regularisation, exact resume."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from preflab.control.clips import Clip, ClipQuery, stack_frames
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.labelled_pairs import LabelledPairs
from preflab.control.rewards.labellers import SynchronousLabeller
from preflab.control.rewards.labels import Label, LabelBuffer
from preflab.control.rewards.oracle import Oracle
from preflab.control.rewards.reward_networks import MLP, ConvNet
from preflab.errors import DataError, TrainingStopped

WEIGHTS = np.array([1.0, -2.0, 0.5])


def labelled(n: int, *, steps: int = 5, seed: int = 0) -> LabelBuffer:
    """Pairs of random clips whose true reward is linear in the observation, judged by the oracle."""
    rng, labels, oracle = np.random.default_rng(seed), LabelBuffer(), SynchronousLabeller(Oracle())
    for k in range(n):
        pair = []
        for side in (0, 1):
            observations = rng.normal(size=(steps, 3))
            pair.append(Clip(2 * k + side, observations, np.zeros((steps, 1)), observations @ WEIGHTS))
        oracle.ask([ClipQuery(*pair, step=0)])
        labels.add(oracle.answers()[0], *pair)
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


def gaps_of_arrays(ensemble: RewardEnsemble, observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Left minus right return by each member [member pair], a clip at a time, from arrays [pair 2 step ...]."""
    weights = ensemble.config.discount ** np.arange(observations.shape[2])
    found = np.zeros((len(ensemble.members), len(observations)))
    for pair, sign, side in ((k, *one) for k in range(len(observations)) for one in ((1, 0), (-1, 1))):
        raw = ensemble.raw_rewards(torch.as_tensor(observations[pair, side]), torch.as_tensor(actions[pair, side]))
        found[:, pair] += sign * (raw.double().numpy() @ weights)
    return found


def test_the_loss_is_the_papers_by_hand() -> None:
    """Returns 2 and 1 apart: 1 nat of gap, lapse 0.1: 0.345378 for the right label, 1.230840 for the wrong one."""
    ensemble = RewardEnsemble(lambda: Fixed(1.0, 0.3), EnsembleConfig(members=1, bootstrap=False, l2_step=0.0))
    labels = LabelBuffer()
    a = Clip(0, np.array([[1.0], [1.0]]), np.zeros((2, 1)), np.array([1.0, 1.0]))
    b = Clip(1, np.array([[0.5], [0.5]]), np.zeros((2, 1)), np.array([0.5, 0.5]))
    for response, expected in (("left", 0.345378), ("right", 1.230840), ("tie", 0.788109)):
        labels.all.clear()
        labels.add(Label(0, 1, response, "o", 0), a, b)  # type: ignore[arg-type]
        loss, gap, squares = ensemble.members[0].predict(LabelledPairs(labels, labels.usable), torch.tensor([0]))
        assert float(loss.detach()[0]) == pytest.approx(expected, abs=1e-5)
        assert float(gap.detach()[0]) == pytest.approx(1.0)
        steps = [1.3, 1.3, 0.8, 0.8]  # rewards; clips have two steps
        assert float(squares.detach()[0]) == pytest.approx(np.mean([(2 * r) ** 2 for r in steps]))


def test_a_discount_weighs_later_steps_less() -> None:
    ensemble = RewardEnsemble(lambda: Fixed(1.0, 0.0), EnsembleConfig(members=1, discount=0.5))
    observations = np.array([[[[1.0], [2.0], [4.0]], [[0.0], [0.0], [8.0]]]])
    left, right = (Clip(k, observations[0, k], np.zeros((3, 1)), np.zeros(3)) for k in (0, 1))
    assert ensemble.pair_gaps([(left, right)]).item() == pytest.approx(1 + 1 + 1 - 2)


@pytest.mark.parametrize("max_steps", [1, 7, 4096])
def test_gaps_of_pairs_are_those_of_their_arrays(max_steps: int) -> None:
    """A clip that is in several pairs counts once, and in whatever portions clips are looked at."""
    ensemble, labels = RewardEnsemble(make), labelled(6)
    clips = labels.clips
    pairs = [(clips[a], clips[b]) for a, b in ((0, 1), (1, 0), (5, 2), (0, 9))]
    observations = np.stack([np.stack([a.observations, b.observations]) for a, b in pairs])
    actions = np.stack([np.stack([a.actions, b.actions]) for a, b in pairs])
    found = ensemble.pair_gaps(pairs, max_steps=max_steps)
    assert found == pytest.approx(gaps_of_arrays(ensemble, observations, actions), abs=1e-5)
    assert found[:, 0] == pytest.approx(-found[:, 1])
    assert ensemble.pair_gaps([]).shape == (3, 0)
    with pytest.raises(DataError, match="clips of one length, got some of 5 and 7 steps"):
        ensemble.pair_gaps(
            [*pairs, tuple(Clip(90 + k, np.zeros((7, 3)), np.zeros((7, 1)), np.zeros(7)) for k in (0, 1))]
        )


def screens(n: int) -> LabelBuffer:
    """Pairs of clips of stacked screens; the brighter one is better."""
    rng, labels = np.random.default_rng(1), LabelBuffer()
    for k in range(n):
        pair = []
        for side in (0, 1):
            frames = rng.integers(0, 256 if side == k % 2 else 60, size=(5, 48, 48), dtype=np.uint8)
            clip = Clip(2 * k + side, stack_frames(frames, 4), np.zeros(2, dtype=np.int64), np.ones(2), stack=4)
            pair.append(clip)
        labels.add(Label(2 * k, 2 * k + 1, "right" if k % 2 else "left", "oracle", 0), *pair)
    return labels


def test_a_network_of_screens_is_fitted_and_holds_still_when_it_predicts() -> None:
    """Batch norm and dropout: running statistics and nothing dropped in every prediction; both clips in one mode."""
    modes: list[tuple[bool, int]] = []

    class Watched(ConvNet):
        def forward(self, observations: Tensor, actions: Tensor | None = None) -> Tensor:
            modes.append((self.training, len(observations)))
            return super().forward(observations, actions)

    labels = screens(12)
    ensemble = RewardEnsemble(lambda: Watched(side=48), EnsembleConfig(members=1, batch_labels=4, bootstrap=False))
    ensemble.fit(labels, epochs=2)
    own = [(True, 4 * 2 * 2)] * 3 + [(False, 12 * 2 * 2)]
    assert modes == own * 2, "three batches of 4 labels with both their clips, then all 12 without chance"
    before = {key: value.clone() for key, value in ensemble.state().items()}
    pairs = [(labels.clips[0], labels.clips[1]), (labels.clips[2], labels.clips[3])]
    together = ensemble.pair_gaps(pairs)
    assert together == pytest.approx(np.concatenate([ensemble.pair_gaps([pair]) for pair in pairs], axis=1), abs=1e-5)
    ensemble.rewards(torch.as_tensor(labels.clips[0].observations.copy()), torch.zeros(2))
    for key, value in ensemble.state().items():
        assert key == "running" or torch.equal(value, before[key]), f"a prediction changed {key}"


def test_a_planted_reward_is_learned() -> None:
    labels = labelled(300)
    ensemble = RewardEnsemble(make)
    found = ensemble.fit(labels, epochs=40)
    assert min(own for own in found.accuracy if own is not None) > 0.85
    points = np.random.default_rng(9).normal(size=(500, 3))
    raw = ensemble.raw_rewards(torch.as_tensor(points).float(), torch.zeros(500, 1)).mean(dim=0).numpy()
    assert np.corrcoef(raw, points @ WEIGHTS)[0, 1] > 0.95


def test_the_ablation_fits_returns_themselves() -> None:
    ensemble = RewardEnsemble(make, EnsembleConfig(members=1, target=True, l2=0.0))
    found = ensemble.fit(labelled(200), epochs=150)
    assert found.train_loss[0] < 1.0, "the variance of a clip's return is 5 * 5.25"


def test_an_epoch_is_adam_on_every_drawn_label_with_both_penalties() -> None:
    """One batch: labels repeated as often as they were drawn, L2 on weights and returns written out, step by step."""
    labels, config = labelled(20), EnsembleConfig(members=1, l2=0.03, return_l2=0.02, l2_step=0.0, learning_rate=0.01)
    ensemble, by_hand = RewardEnsemble(make, config, seed=4), RewardEnsemble(make, config, seed=4).members[0].network
    weights = ensemble.members[0].bootstrap_weights(20)
    drawn = [label for label, n in zip(labels.usable, weights, strict=True) for _ in range(int(n))]
    observations, actions, prob_left = labels.arrays(drawn)
    optimiser = torch.optim.Adam(by_hand.parameters(), lr=0.01)
    for _ in range(3):
        rewards = by_hand(torch.as_tensor(observations).flatten(0, 2), torch.as_tensor(actions).flatten(0, 2))
        gaps = rewards.reshape(len(drawn), 2, 5).sum(dim=-1) @ torch.tensor([1.0, -1.0])
        chosen = torch.where(torch.as_tensor(prob_left) == 1.0, gaps, -gaps)
        loss = -(0.9 * chosen.sigmoid() + 0.05).log().mean() + 0.02 * 25 * rewards.square().mean()
        optimiser.zero_grad()
        (loss + 0.03 * sum(p.square().sum() for p in by_hand.parameters())).backward()
        optimiser.step()
    ensemble.fit(labels, epochs=3)
    for own, expected in zip(ensemble.members[0].network.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(own, expected, atol=1e-5)


def test_a_member_that_drew_no_label_stays_as_it_is() -> None:
    """One label: each of many members has drawn it, or learns nothing, batch normalisation and L2 or not."""
    labels, many = labelled(1), EnsembleConfig(members=12, l2=0.1)

    def make_normed() -> nn.Module:
        own = MLP(3, 1, hidden=(16,))
        own.layers.insert(1, nn.BatchNorm1d(16))
        return own

    ensemble = RewardEnsemble(make_normed, many)
    drawn = np.concatenate([member.bootstrap_weights(1) for member in ensemble.members])
    before = [own.network.layers[0].weight.detach().clone() for own in ensemble.members]  # type: ignore[union-attr, index]
    found = ensemble.fit(labels, epochs=2)
    stayed = [torch.equal(a, own.network.layers[0].weight) for a, own in zip(before, ensemble.members, strict=True)]  # type: ignore[union-attr, index, arg-type]
    assert stayed == (drawn == 0).tolist() and 0 < sum(stayed) < 12
    assert [np.isnan(loss) for loss in found.train_loss] == stayed


def test_what_certain_labels_taught_can_be_unlearned() -> None:
    """Clips that hold still on one side of nothing or the other, so that gaps grow; then nine of ten answers are turned
    round. The worst member's accuracy."""

    def learned(config: EnsembleConfig) -> float:
        rng, labels, ensemble = np.random.default_rng(0), LabelBuffer(), RewardEnsemble(make, config)
        for k in range(120):
            right, left = np.array([-1.0, 1.0])[:, None] * rng.uniform(1, 2, size=(2, 3))
            pair = [
                Clip(2 * k + i, np.tile(own, (40, 1)), np.zeros((40, 1)), np.zeros(40))
                for i, own in enumerate((left, right))
            ]
            labels.add(Label(2 * k, 2 * k + 1, "left" if k < 12 else "right", "o", 0), *pair)
            if k == 11:
                ensemble.fit(labels, epochs=200)
        return min(own for own in ensemble.fit(labels, epochs=40).accuracy if own is not None)

    config = EnsembleConfig(learning_rate=3e-3, return_l2=1e-3)
    assert learned(config) > 0.75 > 0.5 > learned(replace(config, return_l2=0.0))


def test_each_member_has_a_bootstrap_that_keeps_as_labels_come() -> None:
    ensemble = RewardEnsemble(make, seed=3)
    weights = np.stack([member.bootstrap_weights(400) for member in ensemble.members])
    assert weights.shape == (3, 400)
    assert (weights == 0).mean(axis=1) == pytest.approx([1 / np.e] * 3, abs=0.08)
    assert weights.mean(axis=1) == pytest.approx([1.0] * 3, abs=0.15)
    for member, all_weights in zip(ensemble.members, weights, strict=True):
        assert np.array_equal(member.bootstrap_weights(100), all_weights[:100])
        assert np.array_equal(member.bootstrap_weights(150, first=250), all_weights[250:])
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
    assert [own.reward_scale.count for own in ensemble.members] == [0, 0, 0]
    ensemble.rewards(points, torch.zeros(50, 1))
    assert [own.reward_scale.count for own in ensemble.members] == [50, 50, 50]
    ensemble.reset_scale()
    assert [own.reward_scale.count for own in ensemble.members] == [0, 0, 0]


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
    assert ensemble.fit(LabelBuffer(), epochs=3).train_loss == []
    assert ensemble.epochs == 0
