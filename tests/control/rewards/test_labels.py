"""The label file: nothing answered is lost, ties are kept, "cannot tell" is not learned from."""

import numpy as np
import pytest

from preflab.control.clips import Clip
from preflab.control.rewards.labels import Label, LabelBuffer, Response
from preflab.errors import ConfigError, DataError


def clip(i: int, steps: int = 3) -> Clip:
    return Clip(i, np.full((steps, 2), float(i)), np.full((steps, 1), -float(i)), np.full(steps, float(i)))


def add(labels: LabelBuffer, left: int, right: int, response: Response) -> None:
    labels.add(Label(left, right, response, "oracle", step=5), clip(left), clip(right))


def test_answers_as_probabilities_and_what_counts() -> None:
    labels = LabelBuffer()
    for k, response in enumerate(("left", "right", "tie", "cannot tell")):
        add(labels, 2 * k, 2 * k + 1, response)  # type: ignore[arg-type]
    assert [label.prob_left for label in labels.all] == [1.0, 0.0, 0.5, None]
    assert [label.response for label in labels.usable] == ["left", "right", "tie"]
    assert labels.counts() == {"left": 1, "right": 1, "tie": 1, "cannot tell": 1}


def test_arrays_have_the_left_clip_first() -> None:
    labels = LabelBuffer()
    add(labels, 7, 2, "right")
    observations, actions, prob_left = labels.arrays(labels.usable)
    assert observations.shape == (1, 2, 3, 2)
    assert actions.shape == (1, 2, 3, 1)
    assert (observations[0, 0, 0, 0], observations[0, 1, 0, 0]) == (7.0, 2.0)
    assert prob_left.tolist() == [0.0]


def test_only_the_latest_are_learned_from() -> None:
    labels = LabelBuffer(capacity=2)
    for k, response in enumerate(("left", "right", "cannot tell", "tie")):
        add(labels, 2 * k, 2 * k + 1, response)  # type: ignore[arg-type]
    assert [label.response for label in labels.usable] == ["right", "tie"]
    assert len(labels.all) == 4


def test_what_cannot_be_compared_is_refused_and_not_kept() -> None:
    labels = LabelBuffer()
    with pytest.raises(DataError, match="3 and 4 steps"):
        labels.add(Label(0, 1, "left", "x", 0), clip(0), clip(1, steps=4))
    with pytest.raises(DataError, match="not of 0 and 2"):
        labels.add(Label(0, 1, "left", "x", 0), clip(0), clip(2))
    with pytest.raises(DataError, match="compared with itself"):
        Label(3, 3, "left", "x", 0)
    assert not labels.all and not labels.clips
    labels.add(Label(0, 1, "left", "x", 0), clip(0), clip(1))
    with pytest.raises(DataError, match="clips 2 and 3 have 4 steps, those of other labels 3"):
        labels.add(Label(2, 3, "left", "x", 0), clip(2, steps=4), clip(3, steps=4))
    assert len(labels.all) == 1
    with pytest.raises(ConfigError, match="capacity must be at least 1"):
        LabelBuffer(capacity=0)
