"""Numbers with their uncertainty: estimates, calibration, straight lines.

Numpy only. One-dimensional arguments may also be CPU tensors that carry no gradient; they are converted to float64.
Items that share a prompt, a conversation or an annotator are not independent: name what they share as their
cluster, or the interval comes out too narrow. An interval that the data cannot give is (-inf, inf).
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64, Shaped
from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import ConfigError, DataError
from preflab.maths.resampling import check_draws, check_level, number_clusters

Statistic: TypeAlias = Literal["mean"] | Callable[[np.ndarray], float]
Clusters: TypeAlias = Shaped[Any, " item"] | Sequence[Hashable]
Count: TypeAlias = int | float  # beartype does not take an int for a float
_BLOCK = 2_000_000  # random cluster indices held at once while a mean is bootstrapped (16 MB)


@dataclass(frozen=True)
class Estimate:
    """A number, the interval that holds the truth in a share ``level`` of studies, and the sample behind it."""

    value: float
    low: float
    high: float
    n: int
    """Items measured."""
    clusters: int | None = None
    """Independent groups among them; None when every item stands alone."""
    level: float = 0.95

    def __post_init__(self) -> None:
        check_level(self.level)
        if not (math.isfinite(self.value) and self.low <= self.high):
            raise DataError(f"an estimate needs a finite value and low <= high, got {self}")

    def excludes(self, x: float) -> bool:
        """Whether ``x`` lies outside the interval, so that the data speak against it."""
        return x < self.low or x > self.high

    def to_json(self) -> dict[str, float | int | None]:
        """Fields by name, fit for ``json.dumps``; an unbounded end, which JSON cannot write, becomes None."""
        fields: dict[str, float | int | None] = asdict(self)
        return {name: None if x is not None and math.isinf(x) else x for name, x in fields.items()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Estimate":
        """The inverse of `to_json`."""
        unbounded = {"low": -math.inf, "high": math.inf}
        whole: dict[str, Any] = {name: unbounded.get(name) if x is None else x for name, x in fields.items()}
        try:
            return cls(**whole)
        except TypeError as error:
            raise DataError(f"an estimate has the fields {cls.__match_args__}; got {tuple(fields)}") from error

    def __str__(self) -> str:
        width = self.high - self.low
        places = 3 if not 0 < width < math.inf else min(9, max(3, 1 - math.floor(math.log10(width))))
        text = f"{self.value:.{places}f} [{self.low:.{places}f}, {self.high:.{places}f}], n = {self.n}"
        if self.clusters is not None:
            text += f" in {self.clusters} group{'' if self.clusters == 1 else 's'}"
        return text if self.level == 0.95 else f"{text}, {100 * self.level:g} % interval"


class Bin(NamedTuple):
    """Predictions that lie close together, and how often they came true."""

    low: float  # the smallest prediction in the bin (equal mass), or the edge of the bin (equal width)
    high: float
    mean_prob: float  # mean prediction
    frequency: float  # mean outcome
    n: int


class LineFit(NamedTuple):
    """``y = slope * x + intercept``, and the share of the variance of y that it explains."""

    slope: float
    intercept: float
    r_squared: float


def wilson(successes: Count, n: int, level: float = 0.95) -> Estimate:
    """Share of successes with Wilson's score interval; right even at 0 of n and n of n.

    ``(p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)`` (Wilson 1927). For independent items.

    Args:
        successes  in [0, n]; a tie may count half.
        n          items, at least 1.
        level      in (0, 1).

    Returns:
        share      in [0, 1]; ``value`` is ``successes / n``, the interval leans towards 1/2.

    Raises:
        ConfigError: ``level`` is outside (0, 1).
        DataError: ``n`` is below 1, or ``successes`` outside [0, n].
    """
    check_level(level)
    if n < 1 or not 0 <= successes <= n:
        raise DataError(f"successes must be in [0, n] with n at least 1, got {successes} of {n}")
    p, z = successes / n, float(ndtri(0.5 + level / 2))
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = min(p, middle - reach), max(p, middle + reach)  # at 0 and n rounding would leave p outside by 1e-17
    return Estimate(p, max(0.0, low), min(1.0, high), n, level=level)


def mean_with_interval(
    values: Shaped[Any, " item"],
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
) -> Estimate:
    """Mean with Student's t interval, robust to clusters where they are given.

    ``mean +- t * se`` with ``se^2 = C/(C - 1) * sum over clusters of (sum of (x - mean) in it)^2 / n^2`` and C - 1
    degrees of freedom; with one item per cluster ``se`` is the familiar ``s / sqrt(n)`` (Liang and Zeger 1986).

    Args:
        values    [item]  any unit, finite.
        clusters  [item]  what an item shares with others; None when each stands alone.
        level             in (0, 1).

    Returns:
        mean              unit of ``values``; unbounded interval when there is only one cluster.

    Raises:
        ConfigError: ``level`` is outside (0, 1).
        DataError: no items, a value that is not finite, or clusters of another length.
    """
    check_level(level)
    x = _floats(values)
    index, count = number_clusters(clusters, len(x))
    mean, groups = float(x.mean()), None if clusters is None else count
    if count < 2:
        return Estimate(mean, -math.inf, math.inf, len(x), groups, level)
    off = np.bincount(index, weights=x - mean)
    error = math.sqrt(count / (count - 1) * float(off @ off)) / len(x)
    reach = float(stdtrit(count - 1, 0.5 + level / 2)) * error
    return Estimate(mean, mean - reach, mean + reach, len(x), groups, level)


def ratio_of_means(above: Shaped[Any, " item"], below: Shaped[Any, " item"], *, level: float = 0.95) -> Estimate:
    """Mean of one number over the mean of another, of the same items, with Fieller's interval (1954).

    The interval holds every ratio ``r`` at which the mean of ``above - r * below`` is within Student's t of 0, so that
    the doubt about the mean below counts; it is unbounded where that mean is not clear of 0.

    Args:
        above, below  [item]  finite, paired.
        level                 in (0, 1).

    Returns:
        ratio                 no unit.

    Raises:
        ConfigError: ``level`` is outside (0, 1).
        DataError: no items, one that is not finite, different numbers of items, or a mean of 0 below.
    """
    check_level(level)
    a, b = _floats(above), _floats(below)
    if len(a) != len(b) or b.mean() == 0:
        raise DataError(f"expected as many items below and a mean other than 0, got {len(b)} items below {len(a)}")
    ratio = float(a.mean() / b.mean())
    if len(a) < 2:
        return Estimate(ratio, -math.inf, math.inf, len(a), None, level)
    reach = float(stdtrit(len(a) - 1, 0.5 + level / 2)) ** 2 / len(a)
    (aa, ab), (_, bb) = np.cov(a, b)
    square, linear, constant = b.mean() ** 2 - reach * bb, a.mean() * b.mean() - reach * ab, a.mean() ** 2 - reach * aa
    if square <= 0:
        return Estimate(ratio, -math.inf, math.inf, len(a), None, level)
    half = math.sqrt(max(0.0, float(linear**2 - square * constant)))
    low, high = ((float(linear) + sign * half) / float(square) for sign in (-1, 1))
    return Estimate(ratio, low, high, len(a), None, level)


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
    x = _floats(values)
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
    return clustered_bootstrap(_floats(values_a) - _floats(values_b), clusters, draws=draws, seed=seed, level=level)


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
    a, b = _floats(score_a, infinite=True), _floats(score_b, infinite=True)
    wins = (a > b) + 0.5 * (a == b)
    estimate = clustered_bootstrap(wins, clusters, draws=draws, seed=seed, level=level)
    trials = len(wins) if estimate.clusters is None else estimate.clusters
    if trials > 1 and 0.0 < estimate.value < 1.0:
        return estimate
    bounds = wilson(estimate.value * trials, trials, level)
    return Estimate(estimate.value, bounds.low, bounds.high, estimate.n, estimate.clusters, level)


def reliability(
    prob: Shaped[Any, " item"], outcome: Shaped[Any, " item"], bins: int = 10, equal_mass: bool = True
) -> list[Bin]:
    """Predicted probability against observed frequency, bin by bin: the points of a calibration plot.

    A predictor is calibrated when ``frequency = mean_prob`` in each bin. For preference models bin the predicted
    ``sigmoid(score_a - score_b)`` (Bai et al. 2022 HH, PM calibration; Askell et al. 2021).

    Args:
        prob      [item]  predicted probability in [0, 1].
        outcome   [item]  what happened: 0 or 1, or a share between.
        bins              at most this many, at least 1. Empty bins are left out.
        equal_mass        True: bins of about equal n, from sorted predictions; equal predictions stay together.
                          False: bins of equal width, each closed below, the last one closed above too.

    Returns:
        bins              in ascending order of ``prob``; their ``n`` sum to the number of items.

    Raises:
        ConfigError: ``bins`` is below 1.
        DataError: no items, or a value outside [0, 1].
    """
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, got {bins}")
    p, y = _floats(prob), _floats(outcome)
    for name, x in (("probabilities", p), ("outcomes", y)):
        if not ((x >= 0) & (x <= 1)).all():
            raise DataError(f"{name} must be in [0, 1], got values from {x.min()} to {x.max()}")
    order = np.argsort(p, kind="stable")
    p, y = p[order], y[order]
    if equal_mass:
        cuts = np.searchsorted(p, p[np.arange(1, bins) * len(p) // bins])  # back to the first of equal predictions
    else:
        cuts = np.searchsorted(p, np.arange(1, bins) / bins)
    edges = [0, *cuts.tolist(), len(p)]
    found: list[Bin] = []
    for k, (start, stop) in enumerate(pairwise(edges)):
        if start < stop:
            low, high = (p[start], p[stop - 1]) if equal_mass else (k / bins, (k + 1) / bins)
            frequency = float(y[start:stop].mean())
            found.append(Bin(float(low), float(high), float(p[start:stop].mean()), frequency, stop - start))
    return found


def expected_calibration_error(
    prob: Shaped[Any, " item"], outcome: Shaped[Any, " item"], bins: int = 10, equal_mass: bool = True
) -> float:
    """Mean distance between predicted probability and observed frequency over `reliability` bins.

    ``sum over bins of n_bin / n * |frequency - mean_prob|`` (Naeini et al. 2015). Sampling noise alone makes it
    positive: about ``0.4 * sqrt(bins / n)`` for a calibrated predictor near 0.5.

    Args:
        prob, outcome, bins, equal_mass   as in `reliability`, and so are the errors.

    Returns:
        error                             probability in [0, 1]; 0 is calibrated.
    """
    found = reliability(prob, outcome, bins, equal_mass)
    return sum(b.n * abs(b.frequency - b.mean_prob) for b in found) / sum(b.n for b in found)


def line_fit(x: Shaped[Any, " item"], y: Shaped[Any, " item"]) -> LineFit:
    """Least-squares straight line with intercept; for reward against sqrt(KL).

    ``slope = cov(x, y) / var(x)``, ``intercept = mean(y) - slope * mean(x)``,
    ``r_squared = cov(x, y)^2 / (var(x) var(y))`` (the fits of Bai et al. 2022 HH, sec. 4).

    Args:
        x  [item]  finite, e.g. sqrt(KL) in sqrt(nats).
        y  [item]  finite, e.g. mean score in nats.

    Returns:
        slope      unit of y per unit of x.
        intercept  unit of y.
        r_squared  in [0, 1]; 0 when y does not vary, since there is nothing to explain.

    Raises:
        DataError: no items, a value that is not finite, or fewer than two different x.
    """
    xs, ys = _floats(x), _floats(y)
    if (xs == xs[0]).all():
        raise DataError(f"a line needs at least two different x, got {len(xs)} times {xs[0]}")
    dx, dy = xs - xs.mean(), ys - ys.mean()
    slope = float(dx @ dy / (dx @ dx))
    r_squared = 0.0 if (ys == ys[0]).all() else min(1.0, float((dx @ dy) ** 2 / ((dx @ dx) * (dy @ dy))))
    return LineFit(slope, float(ys.mean() - slope * xs.mean()), r_squared)


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


def _floats(values: Any, *, infinite: bool = False) -> Float64[np.ndarray, " item"]:
    if len(x := np.asarray(values, dtype=np.float64)) == 0:
        raise DataError("there must be at least one item, got none")
    bad = np.isnan(x) if infinite else ~np.isfinite(x)
    if bad.any():
        where = int(bad.nonzero()[0][0])
        raise DataError(f"values must be {'numbers' if infinite else 'finite'}, got {x[where]} at item {where}")
    return x
