"""Queries against slow, plain reckonings: variances by pairs of members, schedules by adding up the rate."""

import math
from itertools import product

import numpy as np
import pytest

from preflab.maths.query_selection import Disagreement, Schedule, disagreement, labels_due, most_disputed


def spread(values: list[float]) -> float:
    """Population variance from pairs alone: half the mean squared difference over all ordered pairs."""
    return sum((a - b) ** 2 for a, b in product(values, values)) / (2 * len(values) ** 2)


def votes(gaps: list[float], mode: Disagreement) -> list[float]:
    if mode == "label":
        return [1.0 if gap > 0 else 0.0 for gap in gaps]
    return gaps if mode == "logit" else [math.exp(gap) / (math.exp(gap) + 1) for gap in gaps]


@pytest.mark.parametrize("mode", ["probability", "label", "logit"])
@pytest.mark.parametrize("members", [1, 2, 3, 7])
def test_disagreement_is_the_variance_found_from_pairs_of_members(mode: Disagreement, members: int) -> None:
    gaps = np.random.default_rng(members).normal(0.0, 3.0, (members, 40))
    slow = [spread(votes(gaps[:, k].tolist(), mode)) for k in range(40)]
    np.testing.assert_allclose(disagreement(gaps, mode), slow, rtol=1e-12, atol=1e-15)
    order = sorted(range(40), key=lambda k: (-round(slow[k], 12), k))
    if mode != "label":  # equal shares may differ in their last bit
        assert most_disputed(gaps, 10, mode).tolist() == (order if members > 1 else list(range(40)))[:10]
    assert disagreement(-gaps, mode) == pytest.approx(slow)  # which clip is called the first does not matter


def rate(schedule: Schedule, step: float, end: int, tau: float) -> float:
    """Labels a step, up to a factor, as the papers put it."""
    if schedule == "hyperbolic":
        return tau / (step + tau)
    if schedule == "stepwise":
        return 1 / (1 + step // tau)
    return 0.01 ** (step / end) if schedule == "exponential" else 1.0


@pytest.mark.parametrize("schedule", ["hyperbolic", "stepwise", "exponential", "constant"])
@pytest.mark.parametrize(("total", "initial", "end", "tau"), [(700, 175, 4000, 1000.0), (200, 20, 999, 250.0)])
def test_labels_due_are_the_rate_added_up_step_by_step(
    schedule: Schedule, total: int, initial: int, end: int, tau: float
) -> None:
    fine = 8  # parts of a step, at their middles
    parts = [rate(schedule, (k + 0.5) / fine, end, tau) for k in range(end * fine)]
    so_far, whole = np.cumsum(parts), sum(parts)
    for step in range(1, end, 61):
        exact = initial + (total - initial) * so_far[step * fine - 1] / whole
        found = labels_due(step, total=total, initial=initial, end=end, schedule=schedule, half_life=tau)
        assert found in {math.floor(exact - 1e-3), math.floor(exact + 1e-3)}


@pytest.mark.parametrize("schedule", ["hyperbolic", "stepwise", "exponential", "constant"])
@pytest.mark.parametrize("stride", [370, 800, 2048])
def test_asking_for_what_is_due_asks_for_each_label_once_whatever_the_stride(schedule: Schedule, stride: int) -> None:
    asked, counts = 20, [20]
    for step in range(stride, 88_000 + stride, stride):
        due = labels_due(step, total=200, initial=20, end=88_000, schedule=schedule, half_life=20_000.0)
        counts.append(due - asked)
        asked = due
    assert min(counts) >= 0
    assert sum(counts) == asked == 200
