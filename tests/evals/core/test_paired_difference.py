"""Paired differences of two models: by hand, narrower than unpaired ones, and only on what both scored."""

import numpy as np
import pytest

from preflab.errors import DataError
from preflab.evals.core.paired_difference import compare_items
from preflab.evals.core.suite import Measure

ACCURACY = Measure(name="accuracy", statistic="correct")
LENGTH = Measure(name="length", statistic="words", unit="words", better="")
REFUSALS = Measure(name="refused", statistic="refused", better="lower")


def line(name: str, group: str = "", **outcome: float) -> dict[str, object]:
    return {"id": name, "group": group or name, "rounds": [], "outcome": outcome}


def test_by_hand() -> None:
    a = [line("1", correct=1.0), line("2", correct=0.0), line("3", correct=0.0), line("only a", correct=1.0)]
    b = [
        line("3", correct=0.0),
        line("2", correct=1.0),
        line("1", correct=1.0),
        {"id": "4", "group": "4", "failed": "x"},
    ]
    found = compare_items([ACCURACY], a, b)
    (own,) = found.differences
    assert own.a is not None and own.b is not None and own.gap is not None
    assert own.a.value == pytest.approx(1 / 3)
    assert own.b.value == pytest.approx(2 / 3)
    assert own.gap.value == pytest.approx(1 / 3)
    assert own.outcome == "too few"
    assert (found.common, found.only_a, found.only_b, found.changed) == (3, 1, 0, ["+2"])


def test_hard_items_cancel_out() -> None:
    """Both models find the same items hard: the paired interval is far narrower than either model's own."""
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.5
    better = rng.random(400) < 0.04
    a = [line(str(i), correct=float(not h)) for i, h in enumerate(hard)]
    b = [line(str(i), correct=float(not h or x)) for i, (h, x) in enumerate(zip(hard, better, strict=True))]
    (own,) = compare_items([ACCURACY], a, b).differences
    assert own.a is not None and own.gap is not None
    assert own.gap.high - own.gap.low < 0.4 * (own.a.high - own.a.low)
    assert own.outcome == "better"


def test_which_way_is_better() -> None:
    a = [line(str(i), refused=0.0, words=3.0) for i in range(30)]
    b = [line(str(i), refused=1.0, words=5.0) for i in range(30)]
    refused, words = compare_items([REFUSALS, LENGTH], a, b).differences
    assert refused.outcome == "worse"
    assert words.outcome == "differs"
    assert compare_items([REFUSALS], b, a).differences[0].outcome == "better"


def test_a_measure_that_one_lacks_is_undefined() -> None:
    a, b = [line(str(i), correct=1.0) for i in range(5)], [line(str(i), words=1.0) for i in range(5)]
    own, _ = compare_items([ACCURACY, LENGTH], a, b).differences
    assert (own.a, own.b, own.gap, own.outcome) == (None, None, None, "undecided")


def test_equal_models_differ_by_nothing_and_only_what_a_measure_reads_is_counted() -> None:
    some = Measure(name="of some", statistic="correct", mask=lambda c: c["kind"] == "x")
    a = [{**line(str(i), correct=1.0), "outcome": {"correct": 1.0, "kind": "xy"[i % 2]}} for i in range(20)]
    (own,) = compare_items([some], a, a).differences
    assert own.gap is not None
    assert (own.gap.value, own.gap.low, own.gap.high, own.gap.n) == (0.0, 0.0, 0.0, 10)


def test_a_few_groups_decide_nothing_however_clear_they_look() -> None:
    a = [line(str(i), f"g{i % 9}", correct=0.0) for i in range(90)]
    b = [line(str(i), f"g{i % 9}", correct=1.0) for i in range(90)]
    assert compare_items([ACCURACY], a, b).differences[0].outcome == "too few"


def test_nothing_in_common_is_an_error() -> None:
    with pytest.raises(DataError, match="no scored item in common"):
        compare_items([ACCURACY], [line("1", correct=1.0)], [line("2", correct=1.0)])
