"""Disagreement and label schedules: values worked by hand, totals that come out exactly, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.errors import ConfigError
from preflab.maths.query_selection import disagreement, labels_due, most_disputed

PROBS = np.array([(0.9, 0.8, 0.85), (0.9, 0.1, 0.5), (0.5, 0.5, 0.5), (0.6, 0.4, 0.45)]).T
GAPS = np.log(PROBS / (1 - PROBS))


def test_a_custom_schedule_goes_straight_from_point_to_point() -> None:
    ask = {"total": 110, "initial": 10, "end": 1000, "schedule": "custom", "points": [(0.2, 0.5), (0.5, 0.5)]}
    due = [labels_due(step, **ask) for step in (0, 100, 200, 350, 500, 750, 1000)]  # type: ignore[arg-type]
    assert due == [10, 35, 60, 60, 60, 85, 110]
    for wrong in ([], [(0.5, 1.1)], [(0.5, 0.5), (0.4, 0.6)], [(-0.1, 0.0)]):
        with pytest.raises(ConfigError, match="points"):
            labels_due(3, **{**ask, "points": wrong})  # type: ignore[arg-type]


def test_variance_of_probabilities_by_hand() -> None:
    assert disagreement(GAPS) == pytest.approx([0.001667, 0.106667, 0.0, 0.007222], abs=1e-6)


def test_variance_of_hard_votes_by_hand() -> None:
    gaps = np.where(np.abs(GAPS) < 1e-12, 0.0, GAPS)
    assert disagreement(gaps, "label") == pytest.approx([0.0, 2 / 9, 0.0, 2 / 9], abs=1e-9)


def test_variance_of_gaps_is_that_of_numpy() -> None:
    assert disagreement(GAPS, "logit") == pytest.approx(GAPS.var(axis=0))


def test_large_gaps_do_not_overflow() -> None:
    assert disagreement(np.array([[2000.0], [-2000.0]])) == pytest.approx([0.25])


def test_one_member_never_disagrees() -> None:
    assert not disagreement(GAPS[:1]).any()


def test_the_most_disputed_come_first_and_of_equals_the_first() -> None:
    assert most_disputed(GAPS, 2).tolist() == [1, 3]
    assert most_disputed(np.zeros((3, 4)), 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("step", "due"), [(0, 175), (1e6, 263), (2e6, 326), (4e6, 415), (1e7, 567), (2e7, 700), (3e7, 700)]
)
def test_the_hyperbolic_schedule_of_mujoco(step: float, due: int) -> None:
    assert labels_due(int(step), total=700, initial=175, end=20_000_000, half_life=2e6) == due


@pytest.mark.parametrize(("step", "due"), [(5e6, 1945), (1e7, 2790), (2e7, 3855), (5e7, 5500)])
def test_the_hyperbolic_schedule_of_atari(step: float, due: int) -> None:
    assert labels_due(int(step), total=5500, initial=500, end=50_000_000, half_life=5e6) == due


def test_the_stepwise_rate_is_held_for_tau_at_a_time() -> None:
    """Rates 1, 1/2, 1/3 a tau: after half a tau 0.5 of 11/6."""
    ask = {"total": 1100, "initial": 0, "end": 30, "half_life": 10.0, "schedule": "stepwise"}
    assert [labels_due(step, **ask) for step in (5, 10, 20, 25)] == [300, 600, 900, 1000]  # type: ignore[arg-type]


def test_the_exponential_schedule_asks_for_most_labels_early() -> None:
    due = labels_due(50, total=1000, initial=250, end=100, schedule="exponential")
    assert due == 250 + math.floor(750 * 0.9 / 0.99)


@given(
    st.integers(0, 500),
    st.integers(0, 3000),
    st.integers(1, 10**6),
    st.floats(1.0, 1e7),
    st.sampled_from(["hyperbolic", "stepwise", "exponential", "constant"]),
)
def test_labels_never_fall_and_end_at_the_total(
    initial: int, more: int, end: int, half_life: float, schedule: str
) -> None:
    ask = {"total": initial + more, "initial": initial, "end": end, "half_life": half_life, "schedule": schedule}
    steps = sorted({0, *(end * k // 7 for k in range(8)), end, end + 5})
    due = [labels_due(step, **ask) for step in steps]  # type: ignore[arg-type]
    assert due == sorted(due)
    assert (due[0], due[-1]) == (initial, initial + more)


@pytest.mark.parametrize("wrong", [{"initial": 11}, {"initial": -1}, {"end": 0}, {"half_life": 0.0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected 0 <= initial <= total"):
        labels_due(3, **{"total": 10, "initial": 1, "end": 100, **wrong})  # type: ignore[arg-type]
