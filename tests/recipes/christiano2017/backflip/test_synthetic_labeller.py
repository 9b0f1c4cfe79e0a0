"""The scripted judge of backflips against clips worked out by hand."""

import numpy as np
import pytest

from preflab.control.clips import Clip, ClipQuery
from preflab.control.rewards.labellers import SynchronousLabeller
from preflab.errors import ConfigError, DataError
from preflab.recipes.christiano2017.backflip.synthetic_labeller import (
    SyntheticLabeller,
    SyntheticLabellerConfig,
    backward_turn,
    score_clip,
)

CONFIG = SyntheticLabellerConfig(turn=1.0, high=0.7, height=2.0, landing=1.0, tie=0.1)


def states(pitch: list[float], height: list[float]) -> np.ndarray:
    found = np.zeros((len(pitch), 6))
    found[:, 2], found[:, 1] = pitch, height
    return found


def clip(id: int, pitch: list[float], height: list[float]) -> Clip:
    n = len(pitch)
    return Clip(id, np.zeros((n, 1)), np.zeros((n, 1)), np.zeros(n), states=states(pitch, height))


def test_turning_counts_in_the_air_alone() -> None:
    # Steps of -1, -1, +0.5, -1 rad of pitch; the torso is low at the last step: 1 + 1 - 0.5 = 1.5 backwards count.
    assert backward_turn(states([0.0, -1.0, -2.0, -1.5, -2.5], [1.0, 1.0, 1.0, 1.0, 0.2]), 0.7) == pytest.approx(1.5)
    assert backward_turn(states([0.0, 1.0], [1.0, 1.0]), 0.7) == -1.0  # forwards counts against it
    assert backward_turn(states([0.0, -9.0], [0.2, 0.2]), 0.7) == 0.0  # rolling on the ground is none


def test_points_by_hand() -> None:
    # A whole turn at 1 m, ending upright: 2 pi + 2 * 1 + 1 for the landing.
    turn = [0.0, -np.pi / 2, -np.pi, -1.5 * np.pi, -2 * np.pi]
    assert score_clip(states(turn, [1.0] * 5), CONFIG) == pytest.approx(2 * np.pi + 2 + 1)
    # Half a turn that ends on its head: no landing.
    assert score_clip(states(turn[:3], [1.0] * 3), CONFIG) == pytest.approx(np.pi + 2)
    # Standing still: its height alone, and no landing without a flip.
    assert score_clip(states([0.0, 0.0], [1.25, 1.25]), CONFIG) == pytest.approx(2.5)
    # A whole turn that ends too low: the last step does not count, nor does a landing. Heights: mean 3.3 / 4.
    low = states([0.0, -np.pi, -1.9 * np.pi, -2 * np.pi], [1.0, 1.0, 0.8, 0.5])
    assert score_clip(low, CONFIG) == pytest.approx(1.9 * np.pi + 2 * 3.3 / 4)


def test_the_better_side_wins_and_sides_can_be_changed() -> None:
    flip, stand = clip(1, [0.0, -1.0], [1.0, 1.0]), clip(2, [0.0, 0.0], [1.0, 1.0])
    judge = SyntheticLabeller(CONFIG)
    pairs = [(flip, stand), (stand, flip), (stand, stand)]
    assert judge([ClipQuery(*pair, step=0) for pair in pairs]).prob_first.tolist() == [1.0, 0.0, 0.5]
    near = clip(3, [0.0, -0.05], [1.0, 1.0])
    assert judge([ClipQuery(near, stand, 0)]).prob_first.tolist() == [0.5]  # 0.05 points apart


def test_what_is_asked_is_answered_once() -> None:
    flip, stand = clip(1, [0.0, -1.0], [1.0, 1.0]), clip(2, [0.0, 0.0], [1.0, 1.0])
    own = SynchronousLabeller(SyntheticLabeller(CONFIG))
    assert own.answers() == [] and own.ask([ClipQuery(stand, flip, 40)]) == 1
    (label,) = own.answers()
    assert (label.left, label.right, label.response, label.labeller, label.step) == (2, 1, "right", "judge", 40)
    assert own.answers() == []


def test_what_cannot_be_judged_is_refused() -> None:
    bare = Clip(1, np.zeros((2, 1)), np.zeros((2, 1)), np.zeros(2))
    with pytest.raises(DataError, match="needs states"):
        SyntheticLabeller()([ClipQuery(bare, bare, 0)])
    with pytest.raises(ConfigError, match="tie must be"):
        SyntheticLabellerConfig(tie=-1.0)
