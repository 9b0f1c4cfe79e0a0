"""Estimates and intervals: by hand, against other formulas, and whether they hold the truth as often as they say."""

import json
import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from scipy import stats

from preflab.errors import ConfigError, DataError
from preflab.maths.bootstrap import clustered_bootstrap, win_rate
from preflab.maths.statistics import (
    Bin,
    Estimate,
    expected_calibration_error,
    line_fit,
    mean_with_interval,
    number_clusters,
    ratio_of_means,
    reliability,
    wilson,
)


def test_a_ratio_of_means_is_fiellers() -> None:
    """Against the definition: a grid of ratios, each tested by Student's t; over a constant it is the mean's."""
    rng = np.random.default_rng(3)
    above, below = rng.normal(6, 2, 12), rng.normal(10, 3, 12)
    found = ratio_of_means(above, below)
    tested = [(r, mean_with_interval(above - r * below)) for r in np.linspace(0, 2, 4001)]
    inside = [r for r, own in tested if own.low <= 0 <= own.high]
    assert (found.low, found.high) == pytest.approx((min(inside), max(inside)), abs=1e-3)
    assert found.value == pytest.approx(above.mean() / below.mean()) and found.n == 12
    fixed, plain = ratio_of_means(above, np.full(12, 2.0)), mean_with_interval(above / 2)
    assert (fixed.low, fixed.high) == pytest.approx((plain.low, plain.high))
    assert ratio_of_means(above, below - 10).low == -np.inf and ratio_of_means(above[:1], below[:1]).high == np.inf
    with pytest.raises(TypeCheckError):
        ratio_of_means(above, below[:5])
    with pytest.raises(DataError, match="a mean other than 0"):
        ratio_of_means(above, np.zeros(12))


def test_an_estimate_reads_as_a_line() -> None:
    assert str(Estimate(0.712, 0.671, 0.75, 540, 90)) == "0.712 [0.671, 0.750], n = 540 in 90 groups"
    assert str(Estimate(0.712, 0.671, 0.75, 540)) == "0.712 [0.671, 0.750], n = 540"
    assert str(Estimate(0.5, 0.4, 0.6, 9, 1, level=0.9)) == "0.500 [0.400, 0.600], n = 9 in 1 group, 90 % interval"
    assert str(Estimate(2.0, -math.inf, math.inf, 1)) == "2.000 [-inf, inf], n = 1"


def test_a_narrow_interval_is_not_rounded_away() -> None:
    assert str(Estimate(0.00123, 0.00118, 0.00127, 10)) == "0.001230 [0.001180, 0.001270], n = 10"


def test_excluding_means_lying_strictly_outside() -> None:
    estimate = Estimate(0.6, 0.5, 0.7, 10)
    assert [estimate.excludes(x) for x in (0.49, 0.5, 0.6, 0.7, 0.71)] == [True, False, False, False, True]
    assert not Estimate(0.6, -math.inf, math.inf, 1).excludes(1e9)


@pytest.mark.parametrize("estimate", [Estimate(0.6, 0.5, 0.7, 10, 3, 0.9), Estimate(1.0, -math.inf, math.inf, 1)])
def test_an_estimate_survives_json(estimate: Estimate) -> None:
    text = json.dumps(estimate.to_json(), allow_nan=False)
    assert Estimate.from_json(json.loads(text)) == estimate


def test_damaged_json_is_refused_with_the_fields_expected() -> None:
    for fields in ({"value": 1.0}, {**Estimate(0.6, 0.5, 0.7, 10).to_json(), "mean": 2.0}):
        with pytest.raises(DataError, match=r"fields \('value', 'low', 'high', 'n', 'clusters', 'level'\)"):
            Estimate.from_json(fields)


def test_an_impossible_estimate_is_refused() -> None:
    with pytest.raises(DataError, match=r"low <= high, got 0.600 \[0.700, 0.500\]"):
        Estimate(0.6, 0.7, 0.5, 10)
    with pytest.raises(DataError, match="finite value"):
        Estimate(math.nan, 0.5, 0.7, 10)
    with pytest.raises(ConfigError, match=r"level must be in \(0, 1\), got 95"):
        Estimate(0.6, 0.5, 0.7, 10, level=95.0)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.27753),  # high = z^2 / (n + z^2) = 3.84146 / 13.84146
        (10, 10, 0.72247, 1.0),
        (8, 10, 0.49016, 0.94332),
        (5, 10, 0.23659, 0.76341),  # 1/2 -+ z / (2 sqrt(n + z^2)), since p (1 - p) = 1/4
    ],
)
def test_wilson_by_hand(successes: int, n: int, low: float, high: float) -> None:
    estimate = wilson(successes, n)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((successes / n, low, high), abs=6e-6)
    assert estimate.low <= estimate.value <= estimate.high


def test_wilson_agrees_with_scipy() -> None:
    for k, n, level in ((3, 40, 0.9), (39, 40, 0.99), (0, 3, 0.5)):
        theirs = stats.binomtest(k, n).proportion_ci(level, method="wilson")
        ours = wilson(k, n, level)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_impossible_counts_are_refused() -> None:
    for successes, n in ((11, 10), (-1, 10), (0, 0)):
        with pytest.raises(DataError, match=f"got {successes} of {n}"):
            wilson(successes, n)
    with pytest.raises(ConfigError, match=r"level must be in \(0, 1\)"):
        wilson(1, 2, 1.0)


def test_mean_interval_by_hand() -> None:
    # mean 2, s = 1, se = 1 / sqrt(3) = .57735, t(2 df, .975) = 4.30265: 2 -+ 2.48414
    estimate = mean_with_interval(np.array([1.0, 2.0, 3.0]))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((2.0, -0.48414, 4.48414), abs=6e-6)
    assert (estimate.n, estimate.clusters) == (3, None)


def test_one_item_per_cluster_gives_the_plain_interval() -> None:
    x = np.random.default_rng(0).normal(size=20)
    plain, clustered = mean_with_interval(x, level=0.9), mean_with_interval(x, range(20), level=0.9)
    assert clustered.clusters == 20
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high))


def test_items_copied_within_their_cluster_add_no_certainty() -> None:
    x = np.random.default_rng(0).normal(size=20)
    once, copied = mean_with_interval(x), mean_with_interval(np.repeat(x, 5), np.repeat(np.arange(20), 5))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert copied.n == 100
    naive = mean_with_interval(np.repeat(x, 5))
    assert naive.high - naive.low < 0.5 * (once.high - once.low)


def test_a_single_group_says_nothing_about_the_next() -> None:
    for estimate in (
        mean_with_interval(np.array([3.0])),
        mean_with_interval(np.array([3.0, 4.0]), ["a", "a"]),
        clustered_bootstrap(np.array([3.0, 4.0]), ["a", "a"]),
    ):
        assert (estimate.low, estimate.high) == (-math.inf, math.inf)


def test_tensors_and_truth_values_are_taken_as_numbers() -> None:
    expected = mean_with_interval(np.array([1.0, 0.0, 1.0]))
    assert mean_with_interval(torch.tensor([1.0, 0.0, 1.0])) == expected
    assert mean_with_interval(np.array([True, False, True])) == expected


def test_clusters_may_be_anything_hashable() -> None:
    x = np.array([1.0, 2.0, 4.0, 8.0])
    names = ["p", "q", "p", "r"]
    kinds = [
        names,
        np.array(names),
        np.array([5, 7, 5, 9]),
        torch.tensor([5, 7, 5, 9]),
        [("p", 1), ("q", 1), ("p", 1), None],
    ]
    estimates = [clustered_bootstrap(x, clusters) for clusters in kinds]
    assert all(e == estimates[0] for e in estimates)
    assert (estimates[0].n, estimates[0].clusters) == (4, 3)


def test_reliability_in_equal_mass_by_hand() -> None:
    prob, outcome = np.array([0.9, 0.1, 0.2, 0.8]), np.array([1, 0, 1, 1])
    low, high = reliability(prob, outcome, bins=2)
    assert low == pytest.approx(Bin(0.1, 0.2, 0.15, 0.5, 2))
    assert high == pytest.approx(Bin(0.8, 0.9, 0.85, 1.0, 2))
    assert expected_calibration_error(prob, outcome, bins=2) == pytest.approx((0.35 + 0.15) / 2)


def test_reliability_in_equal_width_by_hand() -> None:
    prob, outcome = np.array([0.0, 0.5, 0.6, 1.0]), np.array([False, True, False, True])
    low, high = reliability(prob, outcome, bins=2, equal_mass=False)
    assert low == pytest.approx(Bin(0.0, 0.5, 0.0, 0.0, 1))  # .5 belongs above
    assert high == pytest.approx(Bin(0.5, 1.0, 0.7, 2 / 3, 3))
    assert len(reliability(prob, outcome, bins=10, equal_mass=False)) == 4  # empty bins are left out


def test_equal_predictions_stay_in_one_bin_whatever_their_order() -> None:
    outcome = np.array([1, 1, 1, 0, 0, 0])
    for y in (outcome, outcome[::-1].copy()):
        assert reliability(np.full(6, 0.5), y, bins=3) == [Bin(0.5, 0.5, 0.5, 0.5, 6)]
    assert expected_calibration_error(np.full(6, 0.5), outcome, bins=3) == 0


@pytest.mark.parametrize("equal_mass", [True, False])
def test_bins_keep_every_item_and_the_order_does_not_matter(equal_mass: bool) -> None:
    rng = np.random.default_rng(0)
    prob = rng.integers(12, size=101) / 11  # many equal predictions
    outcome = (rng.random(101) < prob).astype(float)
    shuffle = rng.permutation(101)
    bins = reliability(prob, outcome, 7, equal_mass)
    assert bins == [pytest.approx(b) for b in reliability(prob[shuffle], outcome[shuffle], 7, equal_mass)]
    assert sum(b.n for b in bins) == 101
    assert sum(b.n * b.frequency for b in bins) == pytest.approx(outcome.sum())
    assert len(bins) <= 7
    assert all(a.high <= b.low for a, b in pairwise(bins))


def test_more_bins_than_items_give_one_item_each() -> None:
    assert [b.n for b in reliability(np.array([0.1, 0.2, 0.3]), np.array([0, 1, 1]), bins=50)] == [1, 1, 1]


def test_a_calibrated_predictor_has_a_small_error_and_an_overconfident_one_a_large() -> None:
    rng = np.random.default_rng(0)
    gap = rng.normal(size=20_000) * 2
    outcome = rng.random(20_000) < 1 / (1 + np.exp(-gap))  # Bai et al. 2022: accuracy = sigmoid(gap)
    assert expected_calibration_error(1 / (1 + np.exp(-gap)), outcome) < 0.015
    assert expected_calibration_error(1 / (1 + np.exp(-3 * gap)), outcome) > 0.08


def test_impossible_probabilities_and_bins_are_refused() -> None:
    ok = np.array([0.5])
    with pytest.raises(DataError, match=r"probabilities must be in \[0, 1\]"):
        reliability(np.array([1.5]), ok)
    with pytest.raises(DataError, match=r"outcomes must be in \[0, 1\]"):
        reliability(ok, np.array([2]))
    with pytest.raises(ConfigError, match="bins must be at least 1, got 0"):
        reliability(ok, ok, bins=0)


def test_line_by_hand() -> None:
    # x mean 1, y mean 2; cov sums: (-1)(-1) + 0 + (1)(2) = 3 over 2; slope 1.5, r^2 = 9 / (2 * 6)
    fit = line_fit(np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 4.0]))
    assert fit == pytest.approx((1.5, 0.5, 0.75))
    slope, intercept, r_squared = fit
    assert (slope, intercept, r_squared) == (fit.slope, fit.intercept, fit.r_squared)


def test_line_agrees_with_numpy_and_r_squared_with_correlation() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=40) + 1e3
    y = 2 * x + rng.normal(size=40)
    fit = line_fit(x, y)
    assert (fit.slope, fit.intercept) == pytest.approx(
        tuple(np.polynomial.Polynomial.fit(x, y, 1).convert().coef[::-1])
    )
    assert fit.r_squared == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)


def test_a_flat_line_explains_nothing() -> None:
    assert line_fit(np.array([0.0, 1.0, 2.0]), np.full(3, 0.1)) == pytest.approx((0.0, 0.1, 0.0))


def test_a_line_needs_two_different_x() -> None:
    with pytest.raises(DataError, match=r"at least two different x, got 2 times 1\.0"):
        line_fit(np.ones(2), np.arange(2))


def test_data_that_are_not_there_or_not_numbers_are_refused() -> None:
    empty, bad = np.zeros(0), np.array([0.0, math.nan])
    with pytest.raises(DataError, match="at least one item"):
        mean_with_interval(empty)
    with pytest.raises(DataError, match="values must be finite, got nan at item 1"):
        clustered_bootstrap(bad, None)
    with pytest.raises(DataError, match="values must be numbers, got nan at item 1"):
        win_rate(bad, bad, None)


def test_clusters_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match="got 3 clusters for 4 items"):
        clustered_bootstrap(np.arange(4.0), ["a", "b", "c"])


def test_statistics_and_best_of_n_import_no_torch() -> None:
    code = "import sys, preflab.maths.bootstrap, preflab.maths.best_of_n; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_clusters_are_numbered_as_they_appear() -> None:
    index, count = number_clusters(["b", "a", "b"], 3)
    assert index.tolist() == [0, 1, 0] and count == 2


def test_a_share_is_cut_to_its_bounds_and_keeps_the_rest() -> None:
    wide = Estimate(0.9, -0.2, 1.3, n=5, clusters=3, level=0.9)
    assert wide.clip() == Estimate(0.9, 0.0, 1.0, n=5, clusters=3, level=0.9)
    assert wide.clip(-1.0, 1.2) == Estimate(0.9, -0.2, 1.2, n=5, clusters=3, level=0.9)
