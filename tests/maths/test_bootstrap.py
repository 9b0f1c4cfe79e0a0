"""The bootstrap: of items by hand and against Student's t, of sums against that of items, of columns together."""

import math

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy import sparse  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import ConfigError, DataError
from preflab.maths import bootstrap
from preflab.maths.bootstrap import (
    bootstrap_columns,
    bootstrap_of_sums,
    clustered_bootstrap,
    paired_difference,
    percentiles,
    resampled_sums,
    win_rate,
)
from preflab.maths.statistics import line_fit, mean_with_interval, wilson

RNG = np.random.default_rng(3)


# items --------------------------------------------------------------------------------------------------


def test_the_bootstrap_of_the_mean_equals_the_slow_one() -> None:
    rng = np.random.default_rng(0)
    x, clusters = rng.normal(size=50), rng.integers(8, size=50)
    fast, slow = (clustered_bootstrap(x, clusters, statistic=s, draws=200) for s in ("mean", lambda v: float(v.mean())))
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high), rel=1e-12)


def test_blocks_of_draws_leave_the_result_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=30)
    whole = clustered_bootstrap(x, None, draws=501)
    monkeypatch.setattr("preflab.maths.bootstrap._BLOCK", 100)
    assert clustered_bootstrap(x, None, draws=501) == whole


def test_the_bootstrap_agrees_with_the_t_interval_where_both_apply() -> None:
    rng = np.random.default_rng(0)
    x, clusters = rng.normal(size=400) + np.repeat(rng.normal(size=80), 5), np.repeat(np.arange(80), 5)
    boot, student = clustered_bootstrap(x, clusters), mean_with_interval(x, clusters)
    assert boot.high - boot.low == pytest.approx(student.high - student.low, rel=0.1)


def test_intervals_hold_the_truth_as_often_as_they_say_only_when_told_the_clusters() -> None:
    rng = np.random.default_rng(0)
    clusters, studies = np.repeat(np.arange(30), 4), 200
    held = {"bootstrap": 0, "student": 0, "naive": 0}
    for _ in range(studies):
        x = rng.normal(size=120) + np.repeat(rng.normal(size=30), 4)  # truth 0
        held["bootstrap"] += not clustered_bootstrap(x, clusters, draws=400).excludes(0.0)
        held["student"] += not mean_with_interval(x, clusters).excludes(0.0)
        held["naive"] += not mean_with_interval(x).excludes(0.0)
    assert held["bootstrap"] / studies > 0.89  # .95 less 3 standard errors and the bootstrap's own shortfall
    assert held["student"] / studies > 0.90
    assert held["naive"] / studies < 0.87


def test_several_arrays_can_be_resampled_by_index() -> None:
    x = np.arange(20.0)
    y = 3 * x + 1
    slope = clustered_bootstrap(
        np.arange(20), None, statistic=lambda i: line_fit(x[i.astype(int)], y[i.astype(int)])[0]
    )
    assert (slope.value, slope.low, slope.high) == pytest.approx((3.0, 3.0, 3.0))


def test_the_seed_decides_the_interval() -> None:
    x = np.random.default_rng(0).normal(size=30)
    assert clustered_bootstrap(x, None) == clustered_bootstrap(x, None, seed=0)
    assert clustered_bootstrap(x, None) != clustered_bootstrap(x, None, seed=1)


def test_pairing_removes_what_both_conditions_share() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(size=200) * 10
    a, b = difficulty + 0.5 + rng.normal(size=200) * 0.1, difficulty + rng.normal(size=200) * 0.1
    difference = paired_difference(a, b, None)
    assert difference.value == pytest.approx(0.5, abs=0.05)
    assert difference.high - difference.low < 0.1
    mirror = paired_difference(b, a, None)
    assert (mirror.value, mirror.low, mirror.high) == pytest.approx(
        (-difference.value, -difference.high, -difference.low)
    )


def test_win_rate_counts_a_tie_as_half() -> None:
    rate = win_rate(np.array([1.0, 2.0, 3.0, math.inf]), np.array([0.0, 2.0, 4.0, math.inf]), None)
    assert rate.value == 0.5  # a win, a tie, a loss, a tie
    assert win_rate(np.array([1.0, 2.0]), np.array([0.0, 2.0]), None).value == 0.75


def test_swapping_sides_mirrors_the_win_rate() -> None:
    rng = np.random.default_rng(0)
    a, b, clusters = rng.integers(4, size=90), rng.integers(4, size=90), np.repeat(np.arange(30), 3)
    here, there = win_rate(a, b, clusters), win_rate(b, a, clusters)
    assert (there.value, there.low, there.high) == pytest.approx((1 - here.value, 1 - here.high, 1 - here.low))


def test_three_wins_of_three_prove_little() -> None:
    rate = win_rate(np.ones(3), np.zeros(3), None)
    assert (rate.low, rate.high) == pytest.approx((wilson(3, 3).low, 1.0))
    assert not rate.excludes(0.5)
    many = win_rate(np.ones(300), np.zeros(300), np.repeat(np.arange(3), 100))  # 300 items, but three groups
    assert (many.low, many.n, many.clusters) == (rate.low, 300, 3)


def test_one_cluster_leaves_a_win_rate_wide_open() -> None:
    rate = win_rate(np.array([1.0, 0.0]), np.array([0.0, 1.0]), ["p", "p"])
    assert (rate.value, rate.clusters) == (0.5, 1)
    assert rate.high - rate.low > 0.8


def test_a_statistic_undefined_on_the_data_is_refused() -> None:
    with pytest.raises(DataError, match=r"nan"):
        clustered_bootstrap(np.arange(4.0), None, statistic=lambda v: math.nan)


def test_settings_out_of_range_are_refused() -> None:
    x = np.arange(4.0)
    with pytest.raises(ConfigError, match="draws must be at least 100"):
        clustered_bootstrap(x, None, draws=10)
    with pytest.raises((ConfigError, TypeCheckError), match="statistic"):  # the type check comes first in tests
        clustered_bootstrap(x, None, statistic="median")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"level must be in \(0, 1\)"):
        paired_difference(x, x, None, level=0.0)
    with pytest.raises(DataError, match=r"defined on every resample, got nan on \d+ of 100"):
        clustered_bootstrap(x, None, statistic=lambda v: math.nan if 0.0 in v else 1.0, draws=100)


def test_arguments_that_would_broadcast_are_refused() -> None:
    with pytest.raises(TypeCheckError, match="item"):
        win_rate(np.zeros(3), np.zeros(1), None)
    with pytest.raises(TypeCheckError, match="item"):
        paired_difference(np.zeros((3, 1)), np.zeros((3, 1)), None)


# sums ---------------------------------------------------------------------------------------------------


def test_every_draw_takes_as_many_clusters_as_there_are() -> None:
    parts = np.array([[1.0, 10.0], [1.0, 20.0], [1.0, 30.0]])
    sums = np.concatenate(list(resampled_sums(parts, 500, 0)))
    assert sums.shape == (500, 2)
    assert (sums[:, 0] == 3).all()
    assert set(sums[:, 1]) == {30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0}  # all sums of three of 10, 20, 30


def test_blocks_and_sparseness_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = np.random.default_rng(1).random((7, 3))
    whole = np.concatenate(list(resampled_sums(parts, 200, 5)))
    monkeypatch.setattr(bootstrap, "_BLOCK", 21)  # three draws at a time
    blocks = list(resampled_sums(sparse.csr_matrix(parts), 200, 5))
    assert len(blocks) == 67
    assert np.allclose(np.concatenate(blocks), whole)


def test_it_agrees_with_the_bootstrap_of_means() -> None:
    x = np.random.default_rng(2).normal(size=40)
    mine = bootstrap_of_sums(np.stack([x, np.ones(40)], 1), lambda s: s[:, 0] / s[:, 1], draws=4000, seed=1)
    low, high = percentiles(mine, 0.95)
    other = clustered_bootstrap(x, None, draws=4000)
    assert low == pytest.approx(other.low, abs=0.03) and high == pytest.approx(other.high, abs=0.03)


def test_a_resample_without_a_value_lies_beyond_both_ends() -> None:
    values = np.arange(1000.0)
    assert percentiles(values, 0.9) == (49.0, 950.0)  # floor(0.05 * 999), ceil(0.95 * 999)
    values[:30] = np.nan  # 3 % of them, below the 5 % of each tail
    assert percentiles(values, 0.9) == (49.0, 980.0)  # 30 missing above: place 950 from below is the value 980
    values[:60] = np.nan
    assert percentiles(values, 0.9) == (-np.inf, np.inf)


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 100"):
        bootstrap_of_sums(np.ones((3, 1)), lambda s: s[:, 0], draws=99, seed=0)


# columns ------------------------------------------------------------------------------------------------


def mean_of_x(columns: object) -> float:
    return float(np.mean(columns["x"]))  # type: ignore[index]


def test_a_mean_has_about_the_interval_of_the_clustered_bootstrap() -> None:
    x, groups = RNG.normal(size=400), (np.arange(400) // 4).tolist()
    ours = bootstrap_columns(mean_of_x, {"x": x}, groups)
    theirs = clustered_bootstrap(x, groups)
    assert ours is not None
    assert ours.value == pytest.approx(theirs.value)
    assert (ours.n, ours.clusters) == (400, 100)
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_columns_are_resampled_together() -> None:
    x = RNG.normal(size=50)
    found = bootstrap_columns(
        lambda c: float(np.abs(c["x"] - c["same"]).max()), {"x": x, "same": x}, list(range(50)), share=False
    )
    assert found is not None
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_whole_groups_are_taken() -> None:
    groups = ["a", "a", "b", "b", "b", "c"]
    sizes = {"a": 2, "b": 3, "c": 1}
    seen: list[dict[str, int]] = []

    def statistic(columns: object) -> float:
        own = columns["g"].tolist()  # type: ignore[index]
        seen.append({g: own.count(g) for g in set(own)})
        return 1.5

    bootstrap_columns(statistic, {"g": np.array(groups)}, groups, draws=200)
    assert all(n % sizes[g] == 0 for one in seen for g, n in one.items())
    assert len({tuple(sorted(one.items())) for one in seen}) > 5


def test_an_undefined_statistic_has_no_estimate() -> None:
    assert bootstrap_columns(lambda c: float("nan"), {"x": np.ones(5)}, list(range(5))) is None
    assert bootstrap_columns(mean_of_x, {"x": np.ones(0)}, []) is None


def test_one_that_is_often_undefined_has_an_unbounded_interval() -> None:
    def rare(columns: object) -> float:
        x = columns["x"]  # type: ignore[index]
        return float(x.mean()) if x.max() > 9 else float("nan")

    found = bootstrap_columns(rare, {"x": np.array([10.0, 0.0, 0.0, 0.0])}, list(range(4)))
    assert found is not None
    assert (found.value, found.low, found.high) == (2.5, -np.inf, np.inf)


def test_a_single_group_says_nothing_of_the_next() -> None:
    found = bootstrap_columns(mean_of_x, {"x": np.array([1.0, 2.0])}, ["a", "a"])
    assert found is not None
    assert (found.low, found.high, found.n, found.clusters) == (-np.inf, np.inf, 2, 1)


def test_a_mask_takes_groups_with_it() -> None:
    x = np.array([1.0, 2.0, 3.0, 100.0])
    found = bootstrap_columns(mean_of_x, {"x": x}, ["a", "a", "b", "c"], mask=np.array([True, True, True, False]))
    assert found is not None
    assert (found.value, found.n, found.clusters) == (2.0, 3, 2)
