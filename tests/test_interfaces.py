"""Labels are whole, and both forms of a labeller are told apart."""

import math

import pytest
import torch

from preflab.errors import DataError
from preflab.interfaces import AsyncLabeller, Labeller, Labels


def test_labels_of_probabilities_and_abstentions() -> None:
    labels = Labels.of([1.0, "unreadable", 0.25, "unreadable", "vetoed"])
    assert labels.prob_first[[0, 2]].tolist() == [1.0, 0.25]
    assert [math.isnan(prob) for prob in labels.prob_first.tolist()] == [False, True, False, True, True]
    assert labels.abstained == {1: "unreadable", 3: "unreadable", 4: "vetoed"}
    assert labels.reasons() == {"unreadable": 2, "vetoed": 1}
    assert len(labels) == 5 and len(Labels.of([])) == 0


@pytest.mark.parametrize(
    ("probs", "abstained", "message"),
    [
        ([0.5, math.nan], {}, "pair 1: expected NaN with a reason"),
        ([0.5, 0.5], {0: "unreadable"}, "pair 0: expected NaN with a reason"),
        ([0.5, math.nan], {0: "unreadable"}, "pair 0"),
        ([0.5, 1.5], {}, r"pair 1: expected a probability in \[0, 1\], found 1.5"),
        ([-0.5], {}, "found -0.5"),
        ([math.inf], {}, "found inf"),
    ],
)
def test_wrong_labels_are_refused(probs: list[float], abstained: dict[int, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Labels(torch.tensor(probs), abstained)


def test_a_labeller_has_a_name_and_is_called() -> None:
    class Longer:
        name = "longer"

        def __call__(self, pairs: list[tuple[str, str]]) -> Labels:
            return Labels.of([float(len(first) > len(second)) for first, second in pairs])

    class Later:
        def ask(self, pairs: list[tuple[str, str]]) -> int:
            return len(pairs)

        def answers(self) -> list[float]:
            return []

    assert isinstance(Longer(), Labeller) and not isinstance(Later(), Labeller)
    assert isinstance(Later(), AsyncLabeller) and not isinstance(Longer(), AsyncLabeller)
    assert Longer()([("aa", "b"), ("a", "bb")]).prob_first.tolist() == [1.0, 0.0]
