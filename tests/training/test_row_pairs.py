"""Pairs of a row, of one comparison or of several."""

import pytest
import torch

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import DataError
from preflab.training.row_pairs import BatchPairs, numbered, row_pairs

PROMPT = Dialogue.of("x")
THREE = Comparison(prompt=PROMPT, replies=("a", "b", "c"), ranks=(1, 0, 1))
TIED = Comparison(prompt=PROMPT, replies=("a", "b"), ranks=(0, 0))
SOFT = Comparison(prompt=PROMPT, replies=("a", "b"), ranks=(0, 1), prob_first=0.25)


def test_pairs_of_a_comparison_weigh_one_together() -> None:
    own = row_pairs(Row.of([1], [2], [3], [4]), THREE, ties=True)
    assert (own.a, own.b, own.prob_a) == ([0, 0, 1], [1, 2, 2], [0.0, 0.5, 1.0])
    assert own.weight == [pytest.approx(1 / 3)] * 3
    assert own.n_comparisons == 1


def test_replies_are_numbered_on_from_comparison_to_comparison() -> None:
    row = Row.of([1], *[[k] for k in range(7)])
    own = row_pairs(row, [TIED, THREE, SOFT], ties=False)
    assert (own.a, own.b) == ([2, 3, 5], [3, 4, 6])  # the tie has no pair, and neither have a and c
    assert own.prob_a == [0.0, 1.0, 0.25]
    assert own.weight == [0.5, 0.5, 1.0]
    assert own.n_comparisons == 2
    assert [first for _, first in numbered(row, [TIED, THREE, SOFT])] == [0, 2, 5]


def test_replies_are_numbered_on_from_row_to_row() -> None:
    first, second = Row.of([1], [2], [3], [4]), Row.of([1], [2], [3])
    both = [(first, row_pairs(first, THREE, ties=False)), (second, row_pairs(second, SOFT, ties=False))]
    pairs = BatchPairs.of(both, torch.device("cpu"))
    assert pairs.a.tolist() == [0, 1, 3]
    assert pairs.b.tolist() == [1, 2, 4]
    assert pairs.prob_a.tolist() == [0.0, 1.0, 0.25]
    assert pairs.weight.tolist() == [0.5, 0.5, 1.0]


def test_a_row_with_other_replies_than_were_judged_is_refused() -> None:
    with pytest.raises(DataError, match="a row of 2 replies was given comparisons of 5"):
        row_pairs(Row.of([1], [2], [3]), [THREE, SOFT], ties=True)
