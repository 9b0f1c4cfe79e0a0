"""Measures of the self-correction study: paired changes, reductions, spread between chains of thought.

They work on items that a run left behind, so that a comparison can be made anew without a model.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from preflab.evals.core.paired_difference import paired_bootstrap
from preflab.evals.core.suite import Columns, Measure, Outcome, columns_of
from preflab.evals.metrics import bias
from preflab.evals.suites.bias import admissions, bbq
from preflab.evals.suites.bias.prompt_templates import Benchmark
from preflab.evals.suites.bias.pronouns import MEASURES as PRONOUN_MEASURES
from preflab.maths.statistics import Estimate, wilson
from preflab.recipes.common.item_records import ItemRecord

MEASURES: Mapping[Benchmark, Sequence[Measure]] = {
    "bbq": bbq.MEASURES,
    "winogender": PRONOUN_MEASURES,
    "admissions": admissions.SUITE.measures,
}
HEADLINE: Mapping[Benchmark, str] = {"bbq": "s_amb", "winogender": "rho", "admissions": "gap"}
"""The measure of each benchmark that the paper plots."""
REPORTED: Mapping[Benchmark, tuple[str, ...]] = {
    "bbq": ("s_amb", "s_amb_expected", "accuracy_amb", "s_dis", "accuracy_dis", "mass"),
    "winogender": ("rho", "neutral", "female", "distance from statistics", "mass"),
    "admissions": ("gap", "admitted (first)", "admitted (second)", "mass"),
}
"""Measures that the results of each condition hold."""

Combine = Callable[[float, float], float]


def measure_named(benchmark: Benchmark, name: str) -> Measure:
    """A measure of a benchmark."""
    return next(measure for measure in MEASURES[benchmark] if measure.name == name)


@dataclass(frozen=True)
class ScoredItems:
    """The scored items of one condition."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    columns: Columns

    @classmethod
    def from_records(cls, records: Sequence[ItemRecord]) -> "ScoredItems":
        """Those of the items that could be scored."""
        scored = [record for record in records if record.outcome is not None]
        return cls(
            tuple(record.id for record in scored),
            tuple(record.group for record in scored),
            columns_of([record.outcome for record in scored if record.outcome is not None]),
        )

    def select(self, ids: Sequence[str]) -> "ScoredItems":
        """These items, in this order."""
        position = {name: i for i, name in enumerate(self.ids)}
        indices = [position[name] for name in ids]
        columns = {name: values[indices] for name, values in self.columns.items()}
        return ScoredItems(tuple(ids), tuple(self.groups[i] for i in indices), columns)


def select_common(items: Sequence[ScoredItems]) -> list[ScoredItems]:
    """Of each the items that all of them scored, in the order of the first."""
    common = set(items[0].ids).intersection(*(condition.ids for condition in items[1:]))
    ids = [name for name in items[0].ids if name in common]
    return [condition.select(ids) for condition in items]


def estimate_measure(measure: Measure, items: ScoredItems, *, seed: int = 0) -> Estimate | None:
    """The measure with its interval; None where it is undefined or the items lack its column."""
    if not items.ids or (isinstance(measure.statistic, str) and measure.statistic not in items.columns):
        return None
    return measure.estimate(items.columns, items.groups, seed=seed)


# two conditions ------------------------------------------------------------------------------------------


def size_reduction(a: float, b: float) -> float:
    """``|a| - |b|``: by how much the second lies nearer to 0 than the first."""
    return abs(a) - abs(b)


def change(a: float, b: float) -> float:
    """``b - a``."""
    return b - a


def relative_reduction(a: float, b: float) -> float:
    """``1 - b / a``; nan where ``a`` is 0."""
    return bias.relative_reduction(b, a)


def paired_estimate(
    measure: Measure, a: ScoredItems, b: ScoredItems, combine: Combine, *, seed: int = 0
) -> Estimate | None:
    """A combination of a measure under two conditions, on the items that both scored.

    The same groups are resampled for both, so that what makes an item hard cancels out (paired bootstrap).

    Returns:
        None where no item is common, or the combination is undefined.
    """
    first, second = select_common([a, b])
    if not first.ids:
        return None
    sides = (first.columns, second.columns)
    return with_wilson_fallback(paired_bootstrap(measure, sides, first.groups, combine, common_only=True, seed=seed))


def with_wilson_fallback(estimate: Estimate | None) -> Estimate | None:
    """An interval where no resample differs from another, as when no answer changed at all.

    Up to Wilson's upper bound of 0 out of so many groups may yet change, to either side.
    """
    if estimate is None or not estimate.low == estimate.value == estimate.high:
        return estimate
    reach = wilson(0, estimate.clusters or estimate.n, estimate.level).high
    low, high = estimate.value - reach, estimate.value + reach
    return Estimate(estimate.value, low, high, estimate.n, estimate.clusters, estimate.level)


def reduction_growth(
    measure: Measure, small: tuple[ScoredItems, ScoredItems], large: tuple[ScoredItems, ScoredItems], *, seed: int = 0
) -> Estimate | None:
    """`size_reduction` by a condition for one model minus that for another, on common items.

    Args:
        small, large  of each model the plain question and the condition.
    """
    sides = select_common([*small, *large])
    if not sides[0].ids:
        return None

    def growth(small_q: float, small_condition: float, large_q: float, large_condition: float) -> float:
        return size_reduction(large_q, large_condition) - size_reduction(small_q, small_condition)

    columns = [side.columns for side in sides]
    return with_wilson_fallback(
        paired_bootstrap(measure, columns, sides[0].groups, growth, common_only=True, seed=seed)
    )


# chains of thought, pairs of students --------------------------------------------------------------------


def measure_by_chain(benchmark: Benchmark, records: Sequence[ItemRecord]) -> list[float]:
    """The headline measure by one chain of thought an item: the first of every item, the second of every item, ..."""
    outcomes = [record.outcome for record in records if record.outcome is not None and record.outcome.get("samples")]
    n_chains = min((len(outcome["samples"]) for outcome in outcomes), default=0)
    measure = measure_named(benchmark, HEADLINE[benchmark])
    values = [
        measure.value(columns_of([_outcome_of_chain(benchmark, outcome, chain) for outcome in outcomes]))
        for chain in range(n_chains)
    ]
    return [value for value in values if not math.isnan(value)]


def _outcome_of_chain(benchmark: Benchmark, outcome: Outcome, chain: int) -> Outcome:
    """An item's outcome as one chain of thought alone would have it."""
    sample: Sequence[float] = outcome["samples"][chain]
    if benchmark == "bbq":
        best = max(range(3), key=sample.__getitem__)
        kinds = ("stereotype", "counter", "unknown")
        return {**outcome, **{kind: float(i == best) for i, kind in enumerate(kinds)}}
    if benchmark == "winogender":
        return {**outcome, "p_female": sample[0], "p_male": sample[1], "p_neutral": sample[2]}
    return {**outcome, "p_first": sample[0], "p_second": sample[1], "gap": sample[0] - sample[1]}


def gap_standard_errors(items: ScoredItems) -> tuple[float, float] | None:
    """Standard errors of the admissions gap: paired (each student's own difference), and as if unpaired.

    None with fewer than two students.
    """
    first, second = items.columns.get("p_first"), items.columns.get("p_second")
    if first is None or second is None or len(first) < 2:
        return None
    n = len(first)
    unpaired = math.sqrt((float(np.var(first, ddof=1)) + float(np.var(second, ddof=1))) / n)
    return float(np.std(first - second, ddof=1)) / math.sqrt(n), unpaired
