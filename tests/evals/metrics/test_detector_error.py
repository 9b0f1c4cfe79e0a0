"""Errors of a detector and what they do to rates: by hand, and against simulation."""

import math

import numpy as np
import pytest

from preflab.errors import DataError
from preflab.evals.metrics.detector_error import LEAST_J, Confusion, corrected_rate, design_effect

GOOD = Confusion(tp=90, fn=10, fp=20, tn=80)


def test_shares_of_a_table() -> None:
    assert GOOD.sensitivity.value == 0.9
    assert GOOD.specificity.value == 0.8
    assert GOOD.precision is not None and GOOD.precision.value == pytest.approx(90 / 110)
    assert GOOD.youden == pytest.approx(0.7)
    assert GOOD.n == 200
    assert Confusion(tp=0, fn=5, fp=0, tn=5).precision is None


def test_the_correction_turns_the_detector_round() -> None:
    # 40 % true: shown 0.4 * 0.9 + 0.6 * 0.2 = 0.48; back: (0.48 - 0.2) / 0.7 = 0.4
    assert GOOD.correct_rate(0.48) == pytest.approx(0.4)
    assert GOOD.correct_rate(0.1) == 0.0  # fewer than its false alarms alone
    assert GOOD.correct_rate(0.95) == 1.0
    assert Confusion(tp=10, fn=0, fp=0, tn=10).correct_rate(0.3) == pytest.approx(0.3)


def test_a_detector_without_power_corrects_nothing() -> None:
    coin = Confusion(tp=50, fn=50, fp=50, tn=50)
    assert "too weak" in coin.too_weak()
    with pytest.raises(DataError, match="no rate can be corrected"):
        coin.correct_rate(0.5)
    found = corrected_rate([1, 0, 1, 1], None, coin)
    assert found.corrected is None and found.raw.value == 0.75 and "0.00" in found.why_not


def test_few_labels_make_a_good_looking_detector_too_weak() -> None:
    # J = 1 either way; with one label of each kind it may be anything
    assert Confusion(tp=1, fn=0, fp=0, tn=1).too_weak()
    assert not Confusion(tp=100, fn=0, fp=0, tn=100).too_weak()
    assert LEAST_J == 0.2


@pytest.mark.parametrize("counts", [{"tp": 1}, {"tn": 3}, {"tp": -1, "fn": 3, "tn": 1}, {}])
def test_counts_that_give_no_error_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(DataError, match="labelled items of both kinds"):
        Confusion(**counts)


def test_a_design_effect_below_one_is_refused() -> None:
    with pytest.raises(DataError, match="design effect"):
        Confusion(tp=1, tn=1, sensitivity_effect=0.5)


def test_counting_items() -> None:
    own = Confusion.count([True, True, False, False, True], [True, False, True, False, True])
    assert (own.tp, own.fn, own.fp, own.tn) == (2, 1, 1, 1)
    with pytest.raises(DataError, match="as many labels"):
        Confusion.count([True], [])


def test_the_design_effect_by_hand() -> None:
    # Two clusters of two, wholly right and wholly wrong: mean 1/2; sums of deviations 1 and -1;
    # 2/1 * (1 + 1) / (4 * 1/4) = 4.
    assert design_effect(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])) == pytest.approx(4.0)
    # each cluster half right: deviations cancel, 0, floored at 1
    assert design_effect(np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])) == 1.0
    assert design_effect(np.array([1, 1]), np.array([0, 1])) == 1.0
    assert design_effect(np.array([]), np.array([], dtype=int)) == 1.0


def test_clusters_widen_the_interval_of_the_error() -> None:
    human = [True] * 40 + [False] * 40
    detected = [True] * 30 + [False] * 10 + [False] * 40
    alone = Confusion.count(human, detected)
    alike = Confusion.count(human, detected, [k // 10 for k in range(80)])
    assert alike.sensitivity_effect > 5
    assert alike.sensitivity.value == alone.sensitivity.value == 0.75
    assert alike.sensitivity.low < alone.sensitivity.low


def test_the_corrected_interval_is_wider_by_the_errors() -> None:
    flags = [1] * 48 + [0] * 52
    perfect = Confusion(tp=10**6, fn=0, fp=0, tn=10**6)
    plain, own = corrected_rate(flags, None, perfect), corrected_rate(flags, None, GOOD)
    assert plain.corrected is not None and own.corrected is not None
    assert plain.corrected.value == pytest.approx(0.48)
    assert plain.corrected.low == pytest.approx(plain.raw.low, abs=0.01)
    assert own.corrected.value == pytest.approx(0.4)
    # delta method: var = [p(1-p)/n + r^2 s(1-s)/m + (1-r)^2 c(1-c)/m] / J^2
    variance = (0.48 * 0.52 / 100 + 0.4**2 * 0.9 * 0.1 / 100 + 0.6**2 * 0.8 * 0.2 / 100) / 0.7**2
    assert own.corrected.high - own.corrected.low == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.12)


def test_a_rate_of_nothing_has_an_interval() -> None:
    found = corrected_rate([0] * 30, None, Confusion(tp=95, fn=5, fp=2, tn=98))
    assert found.raw.value == 0 and found.raw.high > 0.05
    assert found.corrected is not None and found.corrected.value == 0 and 0.05 < found.corrected.high < 0.15
    few = corrected_rate([1, 1] + [0] * 98, None, GOOD).corrected  # 20 false alarms were to be expected
    assert few is not None and few.value == 0 and 0.01 < few.high < 0.1


def test_items_of_one_cluster_count_as_fewer() -> None:
    flags = [1.0] * 20 + [0.0] * 20
    alone = corrected_rate(flags, None, GOOD).corrected
    alike = corrected_rate(flags, [k // 10 for k in range(40)], GOOD).corrected
    assert alone is not None and alike is not None
    assert alike.value == alone.value and alike.high - alike.low > 1.3 * (alone.high - alone.low)


def test_no_items_give_no_rate() -> None:
    with pytest.raises(DataError, match="at least one item"):
        corrected_rate([], None, GOOD)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """True rate 0.3, sensitivity 0.85, specificity 0.9, 120 items and 80 + 80 labels: 300 studies."""
    rng, held = np.random.default_rng(5), 0
    for study in range(300):
        truth = rng.random(120) < 0.3
        flags = np.where(truth, rng.random(120) < 0.85, rng.random(120) < 0.1)
        tp, tn = int(rng.binomial(80, 0.85)), int(rng.binomial(80, 0.9))
        error = Confusion(tp=tp, fn=80 - tp, fp=80 - tn, tn=tn)
        found = corrected_rate(flags.astype(float), None, error, draws=400, seed=study).corrected
        assert found is not None
        held += found.low <= 0.3 <= found.high
    assert held >= 276  # 95 % of 300 is 285; below 276 is 2.4 standard deviations too few
