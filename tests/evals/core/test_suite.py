"""Which measures a variant has, which items they count, and intervals of their own."""

from collections.abc import Hashable, Sequence

import numpy as np
import pytest
import torch

from preflab.errors import ConfigError, ContractError
from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, measure_results
from preflab.evals.core.suite import Columns, Measure, Suite, Variant, checked_outcome, columns_of
from preflab.maths.statistics import Estimate


def product(columns: Columns) -> float:
    return float(np.mean(columns["a"] * columns["b"]))


def test_a_function_is_left_out_without_the_columns_that_it_reads() -> None:
    measures = [
        Measure(name="product", statistic=product, reads=("a", "b")),
        Measure(name="other", statistic=product, reads=("a", "c")),
        Measure(name="a", statistic="a"),
    ]
    outcomes = [{"a": 2.0, "b": 3.0}, {"a": 4.0, "b": 1.0}]
    told = [ItemResult(Item(id=str(i), group=str(i), data=None), outcome=own) for i, own in enumerate(outcomes)]
    found = {own.name: own.estimate for own in measure_results(measures, told)}
    assert found.keys() == {"product", "a"}
    assert found["product"] is not None and (found["product"].value, found["product"].n) == (5.0, 2)
    assert found["a"] is not None and (found["a"].value, found["a"].n) == (3.0, 2)


def test_an_interval_of_its_own_sees_the_items_that_count_and_their_groups() -> None:
    seen: list[tuple[list[float], list[Hashable], int]] = []

    def interval(columns: Columns, groups: Sequence[Hashable], seed: int) -> Estimate | None:
        seen.append((columns["x"].tolist(), list(groups), seed))
        return Estimate(0.5, 0.0, 1.0, len(groups))

    measure = Measure(name="m", statistic=lambda c: 0.5, mask=lambda c: c["x"] > 1, interval=interval)
    columns = {"x": np.array([1.0, 2.0, 3.0])}
    assert measure.estimate(columns, ["a", "b", "b"], seed=7) == Estimate(0.5, 0.0, 1.0, 2)
    assert seen == [([2.0, 3.0], ["b", "b"], 7)]
    assert measure.estimate({"x": np.array([0.0])}, ["a"]) is None
    assert len(seen) == 1  # nothing counts: it is not asked


def test_outcomes_become_columns_and_what_one_lacks_is_nan_or_empty() -> None:
    columns = columns_of([{"x": 1, "kind": "a", "list": [1]}, {"y": True}])
    assert columns.keys() == {"x", "kind", "y"}
    assert columns["x"][0] == 1.0 and np.isnan(columns["x"][1])
    assert columns["kind"].tolist() == ["a", ""] and columns["y"][1] == 1.0


def test_a_variant_by_name_and_the_first_without_one() -> None:
    first, second = (Variant(name=name, summary="", plan=lambda item: None) for name in ("chat", "text"))  # type: ignore[arg-type,return-value]
    suite = Suite(
        name="s",
        title="",
        summary="",
        source="",
        load=lambda source: None,
        variants=(first, second),
        measures=(),  # type: ignore[arg-type,return-value]
    )
    assert (suite.variant(None), suite.variant("text")) == (first, second)
    with pytest.raises(ConfigError, match=r"suite s has no variant 'txt'.*text"):
        suite.variant("txt")


# what a measure counts -------------------------------------------------------------------------------------

COLUMNS = {"x": np.array([1.0, np.nan, 3.0, 5.0]), "kind": np.array(["a", "a", "b", "b"])}


def test_a_mean_counts_the_items_that_have_the_number() -> None:
    measure = Measure(name="x", statistic="x", unit="score")
    assert measure.item_mask(COLUMNS).tolist() == [True, False, True, True]
    assert measure.value(COLUMNS) == 3.0
    estimate = measure.estimate(COLUMNS, ["1", "2", "3", "4"])
    assert estimate is not None and (estimate.value, estimate.n) == (3.0, 3)


def test_a_mask_and_missing_numbers_both_leave_items_out() -> None:
    measure = Measure(name="x", statistic="x", mask=lambda columns: columns["kind"] == "a")
    assert measure.item_mask(COLUMNS).tolist() == [True, False, False, False]
    assert measure.value(COLUMNS) == 1.0
    none = Measure(name="x", statistic="x", mask=lambda columns: columns["kind"] == "c")
    assert np.isnan(none.value(COLUMNS)) and none.estimate(COLUMNS, ["1", "2", "3", "4"]) is None


def test_a_function_sees_the_items_that_count_and_is_not_asked_without_any() -> None:
    seen: list[list[float]] = []

    def last(columns: Columns) -> float:
        seen.append(columns["x"].tolist())
        return float(columns["x"][-1])

    measure = Measure(name="last", statistic=last, mask=lambda columns: columns["x"] > 2)
    assert measure.value(COLUMNS) == 5.0 and seen == [[3.0, 5.0]]
    assert np.isnan(measure.value({"x": np.array([1.0])})) and len(seen) == 1


def test_only_columns_that_are_read_are_carried() -> None:
    both = {"x": COLUMNS["x"], "y": COLUMNS["x"], "kind": COLUMNS["kind"]}
    assert Measure(name="x", statistic="x").select_columns(both).keys() == {"x"}
    assert Measure(name="f", statistic=product, reads=("x", "y", "z")).select_columns(both).keys() == {"x", "y"}
    assert Measure(name="f", statistic=product).select_columns(both).keys() == both.keys()


def test_a_share_stays_within_0_and_1_and_a_score_need_not() -> None:
    ones = {"x": np.array([1.0, 1.0, 1.0, 0.0])}
    share = Measure(name="x", statistic="x").estimate(ones, list("abcd"))
    assert share is not None and 0 <= share.low <= share.value == 0.75 <= share.high <= 1


def test_items_of_one_group_are_drawn_together() -> None:
    """Four groups of five alike are four items: the interval is wider than that of twenty."""
    values = {"x": np.repeat([0.0, 0.0, 1.0, 1.0], 5)}
    measure = Measure(name="x", statistic="x", unit="score")
    apart = measure.estimate(values, [str(k) for k in range(20)])
    together = measure.estimate(values, [str(k // 5) for k in range(20)])
    assert apart is not None and together is not None
    assert apart.value == together.value == 0.5
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), 0.5])
def test_numbers_of_other_libraries_become_plain_ones(value: object) -> None:
    assert checked_outcome({"x": value, "kind": "a", "none": None, "list": [1]}, "7") == {
        "x": 0.5,
        "kind": "a",
        "none": None,
        "list": [1],
    }


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (0.5, "the plan of item '7': expected a mapping from names, found float"),
        ({1: 0.5}, "the plan of item '7': expected a mapping from names, found dict"),
        ({"x": np.zeros(2)}, r"expected 'x' to be a number, a text, a list or a mapping, found ndarray of shape \[2\]"),
        ({"x": object()}, "expected 'x' to be a number, a text, a list or a mapping, found object"),
    ],
)
def test_what_a_plan_must_not_return_is_refused_with_the_item(outcome: object, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        checked_outcome(outcome, "7")


def test_a_measure_that_gives_no_number_or_another_mask_is_named() -> None:
    columns = {"x": np.array([1.0, 2.0])}
    assert Measure(name="m", statistic=lambda c: np.array([1.5])).estimate(columns, ["a", "b"]) is not None  # type: ignore[arg-type,return-value]
    for statistic, found in ((lambda c: c["x"], r"ndarray of shape \[2\]"), (lambda c: "high", r"str of shape \[\]")):
        with pytest.raises(ContractError, match=f"measure 'm': expected one number .*, found {found}"):
            Measure(name="m", statistic=statistic).value(columns)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match=r"measure 'm': expected a mask of shape \[2\], found \[1\]"):
        Measure(name="m", statistic="x", mask=lambda c: c["x"][:1] > 0).estimate(columns, ["a", "b"])
