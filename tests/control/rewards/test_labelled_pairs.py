"""Labelled pairs as tensors: the same whether laid out at once or batch by batch."""

import numpy as np
import pytest
import torch

from preflab.control.clips import Clip, stack_frames
from preflab.control.rewards.ensemble import RewardEnsemble
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.labelled_pairs import LabelledPairs
from preflab.control.rewards.labels import Label, LabelBuffer
from preflab.control.rewards.reward_networks import ConvNet


def screens(n: int) -> LabelBuffer:
    rng, labels = np.random.default_rng(0), LabelBuffer()
    for k in range(n):
        left, right = (
            Clip(
                2 * k + side,
                stack_frames(rng.integers(0, 256, size=(5, 48, 48), dtype=np.uint8), 4),
                np.arange(2),
                np.array([1.0, float(side)]),
                stack=4,
            )
            for side in (0, 1)
        )
        labels.add(Label(2 * k, 2 * k + 1, "right" if k % 3 else "tie", "oracle", 0), left, right)
    return labels


def test_a_batch_is_the_same_either_way() -> None:
    labels = screens(5)
    whole, lazy = LabelledPairs(labels, labels.usable, target=True), LabelledPairs(labels, labels.usable, room=0)
    assert len(whole) == len(lazy) == 5
    assert whole.max_batch == 5
    at = torch.tensor([3, 0, 3])
    for one, other in zip(whole.inputs(at), lazy.inputs(at), strict=True):
        assert torch.equal(one, other)
    assert whole.inputs(at)[0].shape == (3, 2, 2, 4, 48, 48)
    assert whole.inputs(at)[0].dtype == torch.uint8
    assert whole.prob_left.tolist() == [0.5, 0.0, 0.0, 0.5, 0.0]
    assert whole.targets is not None
    assert whole.targets.tolist() == [[1.0, 2.0]] * 5
    assert lazy.targets is None


def test_batches_are_as_large_as_there_is_room() -> None:
    """Two clips of 2 steps of 4 screens of 48 x 48 bytes: 36,864 bytes a label; 64 MiB hold 1,820 of them."""
    labels = screens(3)
    assert LabelledPairs(labels, labels.usable, room=3 * 36_864).max_batch == 3
    assert LabelledPairs(labels, labels.usable, room=3 * 36_864 - 1).max_batch == 1820


def test_an_ensemble_is_fitted_the_same_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, states = screens(6), []
    for room in (10**9, 0):
        monkeypatch.setattr(
            "preflab.control.rewards.ensemble.LabelledPairs",
            lambda *a, room=room, **k: LabelledPairs(*a, room=room, **k),
        )
        ensemble = RewardEnsemble(lambda: ConvNet(side=48), EnsembleConfig(members=2, batch_labels=2))
        ensemble.fit(labels, epochs=2)
        states.append(ensemble.state())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_of_no_labels_nothing_is_laid_out() -> None:
    assert len(LabelledPairs(LabelBuffer(), [])) == 0
    assert LabelledPairs(LabelBuffer(), []).prob_left.shape == (0,)
