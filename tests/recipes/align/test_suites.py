"""Suites before and after: differences item by item, on items by hand and on a tiny model."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from preflab.evals.core.items import Item, Items
from preflab.evals.core.runner import ItemResult
from preflab.evals.core.suite import Measure, Plan, Suite, Variant
from preflab.evals.suites import starter_suites
from preflab.recipes.align.results import FailedItems
from preflab.recipes.align.suites import measure_suites, suite_change
from preflab.recipes.common.configs import ModelConfig
from preflab.recipes.common.model_roles import ModelRoles
from preflab.run import Run


def ask_nothing(item: Item) -> Plan:
    yield []
    return {"correct": 1.0}


VARIANT = Variant(name="plain", summary="Nothing is asked.", plan=ask_nothing)
SUITE = Suite(
    name="by_hand",
    title="By hand",
    summary="Rights and wrongs.",
    source="ours",
    load=lambda source: Items(items=(), digest="", sources=()),
    variants=(VARIANT,),
    measures=(Measure(name="accuracy", statistic="correct"), Measure(name="errors", statistic="wrong", better="lower")),
)


def item_results(correct: Sequence[float | None]) -> list[ItemResult]:
    """An item and group each; None could not be scored."""
    items = [Item(id=f"q{i}", group=f"g{i}", data=None) for i in range(len(correct))]
    return [
        ItemResult(item, failed="said nothing") if value is None else ItemResult(item, outcome={"correct": value})
        for item, value in zip(items, correct, strict=True)
    ]


def test_a_change_is_measured_on_the_items_that_were_scored_in_both() -> None:
    before = item_results([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    after = item_results([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, None])
    change = suite_change(SUITE, VARIANT, before, after)
    assert (change.title, change.summary, change.items) == ("By hand", "Rights and wrongs.", 12)
    assert change.failed == FailedItems(before={}, after={"said nothing": 1})
    [accuracy] = change.differences  # no outcome has the column of the second measure
    assert accuracy.before is not None and accuracy.after is not None and accuracy.gap is not None
    assert (accuracy.before.value, accuracy.after.value) == (pytest.approx(4 / 12), pytest.approx(10 / 12))
    assert (accuracy.gap.value, accuracy.gap.n) == (pytest.approx(0.5), 12)
    assert (accuracy.name, accuracy.unit, accuracy.better, accuracy.outcome) == (
        "accuracy",
        "share",
        "higher",
        "better",
    )


def test_the_same_before_and_after_is_undecided_and_few_groups_decide_nothing() -> None:
    [same] = suite_change(SUITE, VARIANT, *[item_results([1, 0] * 6)] * 2).differences
    assert same.gap is not None
    assert (same.gap.value, same.outcome) == (0.0, "undecided")
    [few] = suite_change(SUITE, VARIANT, item_results([0, 0, 0]), item_results([1, 1, 1])).differences
    assert few.outcome == "too few"


def test_a_model_measured_against_itself_changes_in_nothing(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        models = ModelRoles(run, ModelConfig(policy="tiny", precision="fp32"))
        result = measure_suites(run, models, models.reference, 6)
        one_item = measure_suites(run, models, models.reference, 1)
    assert list(result.suites) == [suite.name for suite, _ in starter_suites()]
    assert result.measured_tokens > one_item.measured_tokens > 0
    for change in result.suites.values():
        assert change.items == 6
        assert change.failed == FailedItems(before={}, after={})
        assert all(d.before == d.after for d in change.differences)
        assert {d.gap.value for d in change.differences if d.gap is not None} == {0.0}


def test_items_are_drawn_by_the_seed_of_the_run_and_another_policy_answers_otherwise(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x", quiet=True) as run:
        models = ModelRoles(run, ModelConfig(policy="tiny", precision="fp32"))
        policy = models.role("policy")
        policy.load_state({name: weight + 0.05 for name, weight in policy.state().items()})
        first, again = (measure_suites(run, models, policy, 6) for _ in range(2))
        unchanged = measure_suites(run, models, models.reference, 6)
    assert first == again
    for name, change in first.suites.items():
        assert [d.before for d in change.differences] == [d.before for d in unchanged.suites[name].differences]
        assert [d.after for d in change.differences] != [d.after for d in unchanged.suites[name].differences]
