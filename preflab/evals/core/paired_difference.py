"""Two models on the same items: every measure's difference, paired item by item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preflab.errors import DataError
from preflab.evals.core.suite import Measure, columns_of
from preflab.maths.columns import bootstrap_columns
from preflab.maths.statistics import Estimate

FEWEST_GROUPS = 10
"""With fewer independent groups a bootstrap's interval is too narrow to decide anything by."""


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
        """``better``, ``worse``, ``differs`` (where neither way is better), ``undecided``, or ``too few`` groups."""
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

    A resample takes the same groups for both, so that what makes an item hard cancels out (paired bootstrap).

    Raises:
        DataError: no item was scored in both.
    """
    mine, theirs = ({line["id"]: line for line in lines if line.get("outcome") is not None} for lines in (a, b))
    common = [name for name in mine if name in theirs]
    if not common:
        raise DataError("the two runs have no scored item in common; take the same data, limit and seed")
    both = [columns_of([own[name]["outcome"] for name in common]) for own in (mine, theirs)]
    groups = [str(mine[name]["group"]) for name in common]
    changed = []
    for name in common:
        was, now = mine[name]["outcome"].get("correct"), theirs[name]["outcome"].get("correct")
        if was is not None and now is not None and was != now:
            changed.append(("+" if now > was else "-") + name)
    return PairedComparison(
        differences=[
            _difference(measure, both[0], both[1], groups, seed)
            for measure in measures
            if measure.given(both[0]) or measure.given(both[1])
        ],
        common=len(common),
        only_a=len(mine) - len(common),
        only_b=len(theirs) - len(common),
        changed=changed,
    )


def _difference(
    measure: Measure,
    a: Mapping[str, np.ndarray],
    b: Mapping[str, np.ndarray],
    groups: Sequence[str],
    seed: int,
) -> MeasureDifference:
    gap = None
    if given := measure.given(a) and measure.given(b):
        sides = {"a": measure.read(a), "b": measure.read(b)}
        masks = {"a": measure.mask(a), "b": measure.mask(b)}
        together = {f"{which} {name}": own for which, columns in sides.items() for name, own in columns.items()}

        def side(columns: Mapping[str, np.ndarray], which: str) -> float:
            kept = columns[f"counts in {which}"]
            return measure.statistic({name: columns[f"{which} {name}"][kept] for name in sides[which]})

        gap = bootstrap_columns(
            lambda columns: side(columns, "b") - side(columns, "a"),
            together | {f"counts in {which}": mask for which, mask in masks.items()},
            groups,
            mask=masks["a"] | masks["b"],
            seed=seed,
            share=False,  # a difference of 0 is not the end of a scale
        )
    return MeasureDifference(
        name=measure.name,
        unit=measure.unit,
        better=measure.better,
        a=measure.estimate(a, groups, seed=seed) if given else None,
        b=measure.estimate(b, groups, seed=seed) if given else None,
        gap=gap,
    )
