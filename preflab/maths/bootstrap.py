"""The bootstrap of whole clusters: for means and any statistic of items, for sums, and for several columns together.

Alpha and ratings depend on their data only through sums (of coincidences, of wins). A resample is then a
weighted sum of what every cluster adds, so thousands of them are one product of matrices (`bootstrap_of_sums`).
"""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Shaped
from scipy import sparse  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import ConfigError, DataError
from preflab.maths.statistics import Clusters, Estimate, as_floats, check_level, number_clusters, wilson

Statistic: TypeAlias = Literal["mean"] | Callable[[np.ndarray], float]
FEWEST_GROUPS = 10
"""With fewer independent clusters (templates, students) an interval from resampling them is too narrow to decide by."""
_BLOCK = 2_000_000  # numbers held at once (16 MB)


def check_draws(draws: int) -> None:
    """Refuse too few resamples.

    Raises:
        ConfigError: ``draws`` is below 100.
    """
    if draws < 100:
        raise ConfigError(f"draws must be at least 100 to place the ends of an interval, got {draws}")


def resampled_sums(parts: Any, draws: int, seed: int) -> Iterator[Float64[np.ndarray, "draw part"]]:
    """Sums over resamples of the rows, in blocks that fit in memory.

    Each draw takes C of the C clusters with replacement (Davison and Hinkley 1997, sec. 3.8).

    Args:
        parts   [cluster, part]  what each cluster adds to each sum; an array or a scipy sparse matrix.
        draws                    resamples.
        seed                     the same seed gives the same draws.

    Returns:
        sums    [draw, part]     block by block, ``draws`` rows in all.
    """
    count, width = parts.shape
    rng = np.random.default_rng(seed)
    transposed = sparse.csr_matrix(parts).T.tocsr()
    block = max(1, _BLOCK // max(count, width))
    for start in range(0, draws, block):
        size = min(block, draws - start)
        clusters = rng.integers(count, size=(size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(clusters.ravel(), minlength=size * count).reshape(size, count)
        yield np.asarray(transposed @ times.T.astype(np.float64)).T


def bootstrap_of_sums(
    parts: Any,
    statistic: Callable[[Float64[np.ndarray, "draw part"]], np.ndarray],
    *,
    draws: int,
    seed: int,
) -> np.ndarray:
    """A statistic of the sums of every resample.

    Args:
        parts      [cluster, part]  what each cluster adds.
        statistic                   from sums [draw, part] to values [draw, ...]; nan where it is undefined.
        draws, seed                 as in `resampled_sums`.

    Returns:
        values     [draw, ...]      one row per resample.

    Raises:
        ConfigError: ``draws`` is below 100.
    """
    check_draws(draws)
    return np.concatenate([statistic(sums) for sums in resampled_sums(parts, draws, seed)])


def percentiles(values: Float64[np.ndarray, " draw"], level: float) -> tuple[float, float]:
    """Ends of the percentile interval; resamples without a value lie beyond both ends.

    A nan might have been anything, so it counts as -inf for the lower end and as inf for the upper one. While fewer
    than ``(1 - level) / 2`` of the draws are nan both ends are finite; with more of them the interval is unbounded.

    Args:
        values  [draw]  the statistic on each resample.
        level           in (0, 1).

    Returns:
        low, high       unit of the values.
    """
    missing, last = np.isnan(values), len(values) - 1
    tail = 0.5 - level / 2
    low = np.sort(np.where(missing, -np.inf, values))[int(np.floor(tail * last))]
    high = np.sort(np.where(missing, np.inf, values))[int(np.ceil((1 - tail) * last))]
    return float(low), float(high)


# items ---------------------------------------------------------------------------------------------------


def clustered_bootstrap(
    values: Shaped[Any, " item"],
    clusters: Clusters | None,
    *,
    statistic: Statistic = "mean",
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """A statistic with a percentile interval from resampling whole clusters.

    Each draw takes C of the C clusters with replacement, with all their items, and computes the statistic
    (Davison and Hinkley 1997, sec. 3.8). To bootstrap several arrays together pass ``np.arange(n)`` as values and
    index the arrays in the statistic.

    Args:
        values     [item]  any unit, finite.
        clusters   [item]  any hashable; None when each item stands alone.
        statistic          ``"mean"`` (vectorised), or a function of the resampled values.
        draws              resamples, at least 100.
        seed               the same seed gives the same interval.
        level              in (0, 1).

    Returns:
        estimate           ``value`` is the statistic of the data themselves. With fewer than two clusters the
                           interval is unbounded. With few clusters, or all alike, it is too narrow.

    Raises:
        ConfigError: ``draws``, ``level`` or ``statistic`` is out of range.
        DataError: no items, a value that is not finite, clusters of another length, or a statistic that is nan.
    """
    check_level(level)
    check_draws(draws)
    if statistic != "mean" and not callable(statistic):
        raise ConfigError(f"statistic must be 'mean' or a function of values, got {statistic!r}")
    x = as_floats(values)
    index, count = number_clusters(clusters, len(x))
    value = float(x.mean() if statistic == "mean" else statistic(x))
    groups = None if clusters is None else count
    if count < 2:
        return Estimate(value, -math.inf, math.inf, len(x), groups, level)
    rng = np.random.default_rng(seed)
    if statistic == "mean":
        resampled = _resampled_means(x, index, count, draws, rng)
    else:
        resampled = _resampled_statistics(x, index, count, draws, rng, statistic)
    if undefined := int(np.isnan(resampled).sum()):
        raise DataError(f"the statistic must be defined on every resample, got nan on {undefined} of {draws}")
    low, high = np.quantile(resampled, [0.5 - level / 2, 0.5 + level / 2])
    return Estimate(value, float(low), float(high), len(x), groups, level)


def paired_difference(
    values_a: Shaped[Any, " item"],
    values_b: Shaped[Any, " item"],
    clusters: Clusters | None,
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Mean of ``a - b`` over items measured under both conditions, by `clustered_bootstrap`.

    Args:
        values_a  [item]      any unit, finite.
        values_b  [item]      the same items in the same order and unit.
        clusters  [item]      any hashable; None when each item stands alone.
        draws, seed, level    as in `clustered_bootstrap`, and so are the errors.

    Returns:
        difference            unit of the values; positive when ``a`` is larger.
    """
    return clustered_bootstrap(as_floats(values_a) - as_floats(values_b), clusters, draws=draws, seed=seed, level=level)


def win_rate(
    score_a: Shaped[Any, " item"],
    score_b: Shaped[Any, " item"],
    clusters: Clusters | None,
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Estimate:
    """Share of items on which ``a`` scores higher than ``b``; a tie counts half.

    ``mean of [a > b] + [a = b] / 2`` by `clustered_bootstrap` (the win rates of Stiennon et al. 2020 and Ouyang et
    al. 2022). Where one side wins everything there is nothing to resample, and with a single cluster no second one:
    the interval is then Wilson's, for as many trials as there are clusters.

    Args:
        score_a   [item]      any unit, higher is better; infinite is allowed, nan is not.
        score_b   [item]      the same unit.
        clusters  [item]      any hashable; None when each item stands alone.
        draws, seed, level    as in `clustered_bootstrap`, and so are the errors.

    Returns:
        rate                  in [0, 1]; 0.5 when neither is better.
    """
    a, b = as_floats(score_a, infinite=True), as_floats(score_b, infinite=True)
    wins = (a > b) + 0.5 * (a == b)
    estimate = clustered_bootstrap(wins, clusters, draws=draws, seed=seed, level=level)
    trials = len(wins) if estimate.clusters is None else estimate.clusters
    if trials > 1 and 0.0 < estimate.value < 1.0:
        return estimate
    bounds = wilson(estimate.value * trials, trials, level)
    return Estimate(estimate.value, bounds.low, bounds.high, estimate.n, estimate.clusters, level)


def _resampled_means(
    x: np.ndarray, index: np.ndarray, count: int, draws: int, rng: np.random.Generator
) -> Float64[np.ndarray, " draw"]:
    sums, sizes = np.bincount(index, weights=x), np.bincount(index)
    means = np.empty(draws)
    block = max(1, _BLOCK // count)
    for start in range(0, draws, block):
        stop = min(start + block, draws)
        drawn = rng.integers(count, size=(stop - start, count))
        means[start:stop] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means


def _resampled_statistics(
    x: np.ndarray,
    index: np.ndarray,
    count: int,
    draws: int,
    rng: np.random.Generator,
    statistic: Callable[[np.ndarray], float],
) -> Float64[np.ndarray, " draw"]:
    members = np.split(x[np.argsort(index, kind="stable")], np.bincount(index).cumsum()[:-1])
    drawn = (rng.integers(count, size=count) for _ in range(draws))
    return np.array([float(statistic(np.concatenate([members[c] for c in draw]))) for draw in drawn])


# columns -------------------------------------------------------------------------------------------------


def bootstrap_columns(
    statistic: Callable[[Mapping[str, np.ndarray]], float],
    columns: Mapping[str, Any],
    groups: Sequence[Hashable],
    *,
    mask: np.ndarray | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    share: bool = True,
) -> Estimate | None:
    """A statistic of several columns with a percentile interval from resampling whole groups.

    Resamples on which the statistic is nan are left out; where more than a tenth is, the interval is unbounded. A
    share that is 0 or 1 on all items has Wilson's interval instead, for as many trials as there are groups.

    Args:
        statistic  of columns [item]; nan where it is undefined.
        columns    [item] each.
        groups     [item]  what an item shares with others.
        mask       [item]  items that the statistic looks at: they alone are counted as the sample.
        draws, seed, level  as in `clustered_bootstrap`.
        share      whether the statistic is a share, for which 0 and 1 are the ends; of a score 0 is the middle.

    Returns:
        estimate, or None where the statistic of the data themselves is undefined.
    """
    check_level(level)
    check_draws(draws)
    arrays = {name: np.asarray(column) for name, column in columns.items()}
    if mask is not None:
        arrays = {name: column[mask] for name, column in arrays.items()}
        groups = [group for group, counts in zip(groups, mask, strict=True) if counts]
    value = statistic(arrays) if len(groups) else float("nan")
    if not np.isfinite(value):
        return None
    index, count = number_clusters(list(groups), len(groups))
    clusters = None if count == len(groups) else count
    if count < 2:
        return Estimate(value, -np.inf, np.inf, len(groups), clusters, level)
    order = np.argsort(index, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(index, minlength=count))[:-1])
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(draws):
        items = np.concatenate([members[g] for g in rng.integers(count, size=count)])
        resampled.append(statistic({name: column[items] for name, column in arrays.items()}))
    usable = np.array([x for x in resampled if np.isfinite(x)])
    if len(usable) < 0.9 * draws:
        return Estimate(value, -np.inf, np.inf, len(groups), clusters, level)
    low, high = np.quantile(usable, [0.5 - level / 2, 0.5 + level / 2])
    if share and low == high == value and value in (0.0, 1.0):
        bounds = wilson(value * count, count, level)
        low, high = bounds.low, bounds.high
    return Estimate(value, min(float(low), value), max(float(high), value), len(groups), clusters, level)
