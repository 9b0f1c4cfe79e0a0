"""A measure whose uncertainty lies outside the sample makes its own interval."""

from collections.abc import Hashable, Sequence

import numpy as np

from preflab.evals.core.suite import Columns, Measure
from preflab.maths.statistics import Estimate


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
