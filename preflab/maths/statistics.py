"""Numbers with their uncertainty: estimates, calibration, straight lines. Intervals by resampling: `bootstrap`.

Numpy only. One-dimensional arguments may also be CPU tensors that carry no gradient; they are converted to float64.
Items that share a prompt, a conversation or an annotator are not independent: name what they share as their
cluster, or the interval comes out too narrow. An interval that the data cannot give is (-inf, inf).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import ConfigError, DataError

Clusters: TypeAlias = Shaped[Any, " item"] | Sequence[Hashable]
Count: TypeAlias = int | float  # beartype does not take an int for a float


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

    def clip(self, low: float = 0.0, high: float = 1.0) -> "Estimate":
        """The same with its interval cut to [low, high], as for a share; the value stays."""
        return replace(self, low=max(low, self.low), high=min(high, self.high))

    def to_json(self) -> dict[str, float | int | None]:
        """Fields by name, fit for ``json.dumps``; an unbounded end, which JSON cannot write, becomes None."""
        fields: dict[str, float | int | None] = asdict(self)
        return {name: None if x is not None and math.isinf(x) else x for name, x in fields.items()}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Estimate":
        """The inverse of `to_json`."""
        unbounded = {"low": -math.inf, "high": math.inf}
        bounded: dict[str, Any] = {name: unbounded.get(name) if x is None else x for name, x in fields.items()}
        try:
            return cls(**bounded)
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


def check_level(level: float) -> None:
    """Refuse a level that is no probability.

    Raises:
        ConfigError: ``level`` is outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level must be in (0, 1), got {level}; 0.95 holds the truth in 95 studies of 100")


def number_clusters(clusters: Any, n: int) -> tuple[Int64[np.ndarray, " item"], int]:
    """Number the clusters in order of appearance; without any, every item is its own.

    Args:
        clusters  [item]  any hashable; None when each item stands alone.
        n                 items.

    Returns:
        index     [item]  number of each item's cluster, from 0.
        count             clusters.

    Raises:
        DataError: not one cluster per item.
    """
    if clusters is None:
        return np.arange(n, dtype=np.int64), n
    names = clusters.tolist() if hasattr(clusters, "tolist") else list(clusters)  # a tensor's items hash by identity
    if len(names) != n:
        raise DataError(f"there must be one cluster per item, got {len(names)} clusters for {n} items")
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64), len(number)


def wilson(successes: Count, n: int, level: float = 0.95) -> Estimate:
    """Share of successes with Wilson's score interval; right even at 0 of n and n of n.

    ``(p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)`` (Wilson 1927). For independent items.
    By hand, since scipy's ``binomtest(...).proportion_ci("wilson")`` takes whole successes only: ties count half here,
    and a share of clusters need not be whole.

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
    x = as_floats(values)
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
    a, b = as_floats(above), as_floats(below)
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
    p, y = as_floats(prob), as_floats(outcome)
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
    filled: list[Bin] = []
    for k, (start, stop) in enumerate(pairwise(edges)):
        if start < stop:
            low, high = (p[start], p[stop - 1]) if equal_mass else (k / bins, (k + 1) / bins)
            frequency = float(y[start:stop].mean())
            filled.append(Bin(float(low), float(high), float(p[start:stop].mean()), frequency, stop - start))
    return filled


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
    filled = reliability(prob, outcome, bins, equal_mass)
    return sum(b.n * abs(b.frequency - b.mean_prob) for b in filled) / sum(b.n for b in filled)


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
    xs, ys = as_floats(x), as_floats(y)
    if (xs == xs[0]).all():
        raise DataError(f"a line needs at least two different x, got {len(xs)} times {xs[0]}")
    dx, dy = xs - xs.mean(), ys - ys.mean()
    slope = float(dx @ dy / (dx @ dx))
    r_squared = 0.0 if (ys == ys[0]).all() else min(1.0, float((dx @ dy) ** 2 / ((dx @ dx) * (dy @ dy))))
    return LineFit(slope, float(ys.mean() - slope * xs.mean()), r_squared)


def as_floats(values: Any, *, infinite: bool = False) -> Float64[np.ndarray, " item"]:
    """Numbers as an array of float64.

    Args:
        values    [item]  numbers, truth values, or a CPU tensor without gradient.
        infinite          whether infinite ones are allowed; nan is not.

    Raises:
        DataError: no items, or one that is not allowed; the message gives its index.
    """
    if len(x := np.asarray(values, dtype=np.float64)) == 0:
        raise DataError("there must be at least one item, got none")
    bad = np.isnan(x) if infinite else ~np.isfinite(x)
    if bad.any():
        index = int(bad.nonzero()[0][0])
        raise DataError(f"values must be {'numbers' if infinite else 'finite'}, got {x[index]} at item {index}")
    return x
