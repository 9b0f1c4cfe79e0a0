"""Labellers that answer at once, on the seam of those that answer later."""

from collections.abc import Sequence

import numpy as np

from preflab.control.clips import Clip, ClipQuery
from preflab.control.rewards.labellers import SynchronousLabeller
from preflab.control.rewards.labels import Label
from preflab.control.rewards.oracle import Oracle
from preflab.interfaces import AsyncLabeller, Labeller, Labels


def query(left: int, right: int, returns: tuple[float, float] = (0.0, 0.0)) -> ClipQuery:
    clips = [
        Clip(id=id, observations=np.zeros((2, 1)), actions=np.zeros((2, 1)), true_reward=np.full(2, reward))
        for id, reward in zip((left, right), returns, strict=True)
    ]
    return ClipQuery(*clips, step=64)


class Certainties:
    """Answers with given probabilities."""

    name = "model"

    def __init__(self, *answers: float | str) -> None:
        self.labels = Labels.of(answers)

    def __call__(self, pairs: Sequence[ClipQuery]) -> Labels:
        return self.labels


def test_an_oracle_answers_what_was_asked_once() -> None:
    labeller = SynchronousLabeller(Oracle())
    assert labeller.ask([query(1, 2, (0.0, 1.0)), query(3, 4, (1.0, 1.0))]) == 2
    assert labeller.answers() == [Label(1, 2, "right", "oracle", 64), Label(3, 4, "tie", "oracle", 64)]
    assert labeller.answers() == []


def test_the_more_probable_side_is_the_answer_and_an_abstention_cannot_tell() -> None:
    labeller = SynchronousLabeller(Certainties(0.51, 0.2, 0.5, "too dark"))
    labeller.ask([query(2 * k, 2 * k + 1) for k in range(4)])
    assert [(label.response, label.labeller) for label in labeller.answers()] == [
        ("left", "model"), ("right", "model"), ("tie", "model"), ("cannot tell", "model")
    ]  # fmt: skip


def test_both_forms_stand_on_the_one_seam() -> None:
    assert isinstance(Oracle(), Labeller) and isinstance(SynchronousLabeller(Oracle()), AsyncLabeller)
