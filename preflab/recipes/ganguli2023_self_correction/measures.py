"""What conditions of the self-correction study say of one another: paired gaps, reductions, spread between thoughts.

Works on the lines of items' files, so that a report can be made from what a run left behind.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preflab.evals.core.paired_difference import paired_bootstrap
from preflab.evals.core.suite import Columns, Measure, columns_of
from preflab.evals.metrics import bias
from preflab.evals.suites.bias import admissions, bbq
from preflab.evals.suites.bias.prompt_templates import Benchmark
from preflab.evals.suites.bias.pronouns import MEASURES as PRONOUN_MEASURES
from preflab.maths.statistics import Estimate, wilson

MEASURES: Mapping[Benchmark, Sequence[Measure]] = {
    "bbq": bbq.MEASURES,
    "winogender": PRONOUN_MEASURES,
    "admissions": admissions.SUITE.measures,
}
HEADLINE: Mapping[Benchmark, str] = {"bbq": "s_amb", "winogender": "rho", "admissions": "gap"}
"""The measure of each benchmark that the paper plots."""
SHOWN: Mapping[Benchmark, tuple[str, ...]] = {
    "bbq": ("s_amb", "s_amb_expected", "accuracy_amb", "s_dis", "accuracy_dis", "mass"),
    "winogender": ("rho", "neutral", "female", "distance from statistics", "mass"),
    "admissions": ("gap", "admitted (first)", "admitted (second)", "mass"),
}
"""What is kept of each condition."""

Line = Mapping[str, Any]
Combine = Callable[[float, float], float]


def measure_named(benchmark: Benchmark, name: str) -> Measure:
    """A measure of a benchmark."""
    return next(own for own in MEASURES[benchmark] if own.name == name)


@dataclass(frozen=True)
class ScoredItems:
    """The scored items of one condition."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    columns: Columns

    @classmethod
    def of(cls, lines: Sequence[Line]) -> "ScoredItems":
        """From the lines of an items' file."""
        kept = [line for line in lines if line.get("outcome") is not None]
        return cls(
            tuple(str(line["id"]) for line in kept),
            tuple(str(line["group"]) for line in kept),
            columns_of([line["outcome"] for line in kept]),
        )

    def only(self, ids: Sequence[str]) -> "ScoredItems":
        """These items, in this order."""
        place = {name: i for i, name in enumerate(self.ids)}
        at = [place[name] for name in ids]
        return ScoredItems(
            tuple(ids), tuple(self.groups[i] for i in at), {name: own[at] for name, own in self.columns.items()}
        )


def estimate(measure: Measure, answered: ScoredItems, *, seed: int = 0) -> Estimate | None:
    """The measure with its interval; None where it is undefined or the items lack its column."""
    if not answered.ids or (isinstance(measure.statistic, str) and measure.statistic not in answered.columns):
        return None
    return measure.estimate(answered.columns, answered.groups, seed=seed)


def smaller_by(a: float, b: float) -> float:
    """By how much the second lies nearer to 0 than the first."""
    return abs(a) - abs(b)


def change(a: float, b: float) -> float:
    """The second minus the first."""
    return b - a


def reduction(a: float, b: float) -> float:
    """Relative reduction from the first to the second."""
    return bias.relative_reduction(b, a)


def paired(measure: Measure, a: ScoredItems, b: ScoredItems, combine: Combine, *, seed: int = 0) -> Estimate | None:
    """What the measure says of two conditions on the items that both scored.

    The same groups are resampled for both, so that what makes an item hard cancels out (paired bootstrap).

    Returns:
        None where no item is common, or the combination is undefined.
    """
    both = set(b.ids)
    ids = [name for name in a.ids if name in both]
    if not ids:
        return None
    first, second = a.only(ids), b.only(ids)
    sides = (first.columns, second.columns)
    return with_wilson_fallback(paired_bootstrap(measure, sides, first.groups, combine, common_only=True, seed=seed))


def with_wilson_fallback(own: Estimate | None) -> Estimate | None:
    """Where no resample differs from another, as when no answer changed at all, there is nothing to resample: up to
    Wilson's upper bound of 0 out of so many groups may yet change, to either side."""
    if own is None or not own.low == own.value == own.high:
        return own
    reach = wilson(0, own.clusters or own.n, own.level).high
    return Estimate(own.value, own.value - reach, own.value + reach, own.n, own.clusters, own.level)


def grown_by(
    measure: Measure, small: tuple[ScoredItems, ScoredItems], large: tuple[ScoredItems, ScoredItems], *, seed: int = 0
) -> Estimate | None:
    """How much more a condition takes off the measure's size for one model than for another, on common items.

    Args:
        small, large  of each model the plain question and the condition.
    """
    four = (*small, *large)
    common = set(four[0].ids).intersection(*(own.ids for own in four[1:]))
    ids = [name for name in four[0].ids if name in common]
    if not ids:
        return None
    parts = [own.only(ids) for own in four]

    def growth(a: float, b: float, c: float, d: float) -> float:
        return smaller_by(c, d) - smaller_by(a, b)

    sides = [part.columns for part in parts]
    return with_wilson_fallback(paired_bootstrap(measure, sides, parts[0].groups, growth, common_only=True, seed=seed))


def by_thought(benchmark: Benchmark, lines: Sequence[Line]) -> list[float]:
    """The headline measure by each chain of thought alone: the first of every item, the second of every item, ..."""
    kept = [line for line in lines if line.get("outcome") is not None and line["outcome"].get("samples")]
    n = min((len(line["outcome"]["samples"]) for line in kept), default=0)
    found = []
    for k in range(n):
        outcomes = [_of_thought(benchmark, line["outcome"], line["outcome"]["samples"][k]) for line in kept]
        found.append(measure_named(benchmark, HEADLINE[benchmark]).value(columns_of(outcomes)))
    return [value for value in found if not math.isnan(value)]


def _of_thought(benchmark: Benchmark, outcome: Line, sample: Sequence[float]) -> dict[str, Any]:
    """An item's outcome as one chain of thought alone would have it."""
    if benchmark == "bbq":
        best = max(range(3), key=sample.__getitem__)
        kinds = ("stereotype", "counter", "unknown")
        return {**outcome, **{kind: float(i == best) for i, kind in enumerate(kinds)}}
    if benchmark == "winogender":
        return {**outcome, "p_female": sample[0], "p_male": sample[1], "p_neutral": sample[2]}
    return {**outcome, "p_first": sample[0], "p_second": sample[1], "gap": sample[0] - sample[1]}


def paired_against_unpaired(answered: ScoredItems) -> tuple[float, float] | None:
    """Standard errors of the admissions gap: from the students' own differences, and as if the two were strangers.

    None with fewer than two students.
    """
    first, second = answered.columns.get("p_first"), answered.columns.get("p_second")
    if first is None or second is None or len(first) < 2:
        return None
    n = len(first)
    unpaired = math.sqrt((float(np.var(first, ddof=1)) + float(np.var(second, ddof=1))) / n)
    return float(np.std(first - second, ddof=1)) / math.sqrt(n), unpaired
