"""Two models on the same items: every measure's difference, paired item by item."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preflab.errors import DataError
from preflab.evals.core.suite import Columns, Measure, columns_of
from preflab.maths.bootstrap import FEWEST_GROUPS, bootstrap_columns
from preflab.maths.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class MeasureDifference:
    """A measure of two models on the items that both answered."""

    name: str
    unit: str
    better: str
    a: Estimate | None
    b: Estimate | None
    gap: Estimate | None
    """b minus a, its interval from resampling the groups of both together; None where it is undefined."""

    @property
    def outcome(self) -> str:
        """``better``, ``worse``, ``differs`` (no direction is better), ``undecided``, or ``too few`` groups."""
        if self.gap is None:
            return "undecided"
        if (self.gap.n if self.gap.clusters is None else self.gap.clusters) < FEWEST_GROUPS:
            return "too few"
        if not self.gap.excludes(0.0):
            return "undecided"
        if self.better not in ("higher", "lower"):
            return "differs"
        return "better" if (self.gap.value > 0) == (self.better == "higher") else "worse"


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Two models on one suite."""

    differences: Sequence[MeasureDifference]
    common: int
    """Items that both scored; only they count."""
    only_a: int
    only_b: int
    """Items that one of them alone scored."""
    changed: Sequence[str]
    """Items on which one was right and the other wrong, by id: ``+`` for b, ``-`` for a."""


def compare_items(
    measures: Sequence[Measure], a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]], *, seed: int = 0
) -> PairedComparison:
    """Compare the lines of two items' files of one suite.

    Raises:
        DataError: no item was scored in both.
    """
    lines_a, lines_b = ({line["id"]: line for line in lines if line.get("outcome") is not None} for lines in (a, b))
    common = [name for name in lines_a if name in lines_b]
    if not common:
        raise DataError("the two runs have no scored item in common; take the same data, limit and seed")
    columns_of_both = [columns_of([lines[name]["outcome"] for name in common]) for lines in (lines_a, lines_b)]
    groups = [str(lines_a[name]["group"]) for name in common]
    changed = []
    for name in common:
        was, now = lines_a[name]["outcome"].get("correct"), lines_b[name]["outcome"].get("correct")
        if was is not None and now is not None and was != now:
            changed.append(("+" if now > was else "-") + name)
    return PairedComparison(
        differences=[
            _difference(measure, columns_of_both[0], columns_of_both[1], groups, seed)
            for measure in measures
            if measure.has_columns(columns_of_both[0]) or measure.has_columns(columns_of_both[1])
        ],
        common=len(common),
        only_a=len(lines_a) - len(common),
        only_b=len(lines_b) - len(common),
        changed=changed,
    )


def _difference(measure: Measure, a: Columns, b: Columns, groups: Sequence[str], seed: int) -> MeasureDifference:
    defined_in_both = measure.has_columns(a) and measure.has_columns(b)
    return MeasureDifference(
        name=measure.name,
        unit=measure.unit,
        better=measure.better,
        a=measure.estimate(a, groups, seed=seed) if defined_in_both else None,
        b=measure.estimate(b, groups, seed=seed) if defined_in_both else None,
        gap=paired_bootstrap(measure, (a, b), groups, lambda value_a, value_b: value_b - value_a, seed=seed),
    )


def paired_bootstrap(
    measure: Measure,
    sides: Sequence[Columns],
    groups: Sequence[Hashable],
    combine: Callable[..., float],
    *,
    common_only: bool = False,
    seed: int = 0,
) -> Estimate | None:
    """What a measure says of several models on the same items, with an interval from resampling them together.

    A resample takes the same groups for all sides, so that what makes an item hard cancels out (paired bootstrap).

    Args:
        sides        columns [item] of each model.
        groups       [item]  what items share.
        combine      the measure's value on each side -> the number wanted, such as a difference.
        common_only  items count where the measure counts them on every side; otherwise each side has its own.

    Returns:
        None where the number is undefined, or a side lacks a column that the measure reads.
    """
    if not all(measure.has_columns(columns) for columns in sides):
        return None
    masks = [measure.item_mask(columns) for columns in sides]
    if common_only:
        masks = [np.logical_and.reduce(masks)] * len(masks)
    selected = [measure.select_columns(columns) for columns in sides]
    merged = {f"{k} {name}": values for k, columns in enumerate(selected) for name, values in columns.items()}
    merged |= {f"counts in {k}": mask for k, mask in enumerate(masks)}

    def value_of_side(columns: Columns, k: int) -> float:
        counted = columns[f"counts in {k}"]
        return measure.compute({name: columns[f"{k} {name}"][counted] for name in selected[k]})

    return bootstrap_columns(
        lambda columns: combine(*(value_of_side(columns, k) for k in range(len(sides)))),
        merged,
        groups,
        mask=np.logical_or.reduce(masks),
        seed=seed,
        share=False,  # a difference of 0 is not the end of a scale
    )
