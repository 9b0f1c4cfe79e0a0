"""How often a detector errs, by human labels, and what that does to every rate that rests on it.

A detector that finds a share ``sensitivity`` of what is there and leaves alone a share ``specificity`` of what is not
shows a rate of ``p = r * sensitivity + (1 - r) * (1 - specificity)`` where the truth is r. Turned round (Rogan and
Gladen 1978): ``r = (p + specificity - 1) / (sensitivity + specificity - 1)``, cut to [0, 1]. The correction divides by
``J = sensitivity + specificity - 1`` (Youden 1950): a detector of little J blows up every uncertainty, and one whose J
may be near 0 says nothing of the rate.

The correction supposes that the detector errs on new replies as often as on the labelled ones. Replies of another
model, or to other prompts, may break that; figures by model and by type of prompt show how much they vary.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preflab.errors import DataError
from preflab.maths.bootstrap import check_draws
from preflab.maths.statistics import Count, Estimate, check_level, number_clusters, wilson

LEAST_J = 0.2
"""Below it the rate is not corrected: an error of one point in a rate would become five."""
_GRID = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Items by what people say of them (positive: what is looked for is there) and by what the detector says."""

    tp: Count = 0
    fn: Count = 0
    fp: Count = 0
    tn: Count = 0
    sensitivity_effect: float = 1.0
    """Design effect: how much the variance of the sensitivity exceeds that of as many independent items."""
    specificity_effect: float = 1.0

    def __post_init__(self) -> None:
        if min(self.tp, self.fn, self.fp, self.tn) < 0 or not self.tp + self.fn or not self.fp + self.tn:
            raise DataError(
                f"a detector's error needs labelled items of both kinds and counts from 0, got {self.tp + self.fn} "
                f"positive and {self.fp + self.tn} negative ones"
            )
        if min(self.sensitivity_effect, self.specificity_effect) < 1:
            raise DataError("a design effect below 1 would claim more certainty than independent items give")

    @property
    def n(self) -> int:
        """Labelled items."""
        return int(self.tp + self.fn + self.fp + self.tn)

    @property
    def sensitivity(self) -> Estimate:
        """Recall: the share of positive items that the detector finds."""
        return _share(self.tp, self.fn, self.sensitivity_effect)

    @property
    def specificity(self) -> Estimate:
        """The share of negative items that it leaves alone."""
        return _share(self.tn, self.fp, self.specificity_effect)

    @property
    def precision(self) -> Estimate | None:
        """The share of what it finds that is positive, in these items; it depends on how common positives are.

        None where it found nothing.
        """
        return _share(self.tp, self.fp, self.specificity_effect) if self.tp + self.fp else None

    @property
    def youden(self) -> float:
        """J: 1 for a detector without error, 0 for one that knows nothing, below 0 for one that has it backwards."""
        return self.sensitivity.value + self.specificity.value - 1

    def draws(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of sensitivity and specificity [draw] that the labels allow: Jeffreys' posterior, thinned by the
        design effects."""
        s, c = self.sensitivity_effect, self.specificity_effect
        return (
            rng.beta(self.tp / s + 0.5, self.fn / s + 0.5, size=n),
            rng.beta(self.tn / c + 0.5, self.fp / c + 0.5, size=n),
        )

    def too_weak(self, *, level: float = 0.95) -> str:
        """Why rates cannot be corrected with this detector; "" where they can.

        The lower end of J's interval (delta method: the two variances add) has to lie above `LEAST_J`.
        """
        sens, spec = self.sensitivity, self.specificity
        spread = math.sqrt(_variance(sens, self.sensitivity_effect) + _variance(spec, self.specificity_effect))
        from scipy.special import ndtri  # type: ignore[import-untyped, unused-ignore]

        low = self.youden - float(ndtri(0.5 + level / 2)) * spread
        if low > LEAST_J:
            return ""
        return (
            f"sensitivity + specificity - 1 is {self.youden:.2f} and may be as low as {low:.2f}, not above {LEAST_J}: "
            "this detector is too weak to correct a rate with"
        )

    def correct_rate(self, rate: Count) -> float:
        """Rogan and Gladen's estimate of the true rate, in [0, 1].

        Raises:
            DataError: sensitivity + specificity is 1 or below, so that the raw rate says nothing.
        """
        if self.youden <= 0:
            raise DataError("the detector finds as much where nothing is: no rate can be corrected")
        return float(np.clip((rate + self.specificity.value - 1) / self.youden, 0.0, 1.0))

    @classmethod
    def count(
        cls, human: Sequence[bool], detected: Sequence[bool], clusters: Sequence[Hashable] | None = None
    ) -> "Confusion":
        """Count items, and how much alike those of one cluster are judged.

        Args:
            human     [item]  what people say.
            detected  [item]  what the detector says.
            clusters  [item]  what items share (the prompt); None when each stands alone.

        Raises:
            DataError: lists of different lengths, or all items of one kind.
        """
        if len(human) != len(detected):
            raise DataError(f"as many labels as detections are needed, got {len(human)} and {len(detected)}")
        h, d = np.asarray(human, dtype=bool), np.asarray(detected, dtype=bool)
        index, _ = number_clusters(clusters, len(h)) if len(h) else (np.zeros(0, dtype=np.int64), 0)
        return cls(
            tp=int((h & d).sum()),
            fn=int((h & ~d).sum()),
            fp=int((~h & d).sum()),
            tn=int((~h & ~d).sum()),
            sensitivity_effect=design_effect(d[h], index[h]),
            specificity_effect=design_effect(~d[~h], index[~h]),
        )

    def to_json(self) -> dict[str, Any]:
        """Counts and the design effects."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def design_effect(right: np.ndarray, clusters: np.ndarray) -> float:
    """Variance of a share from items in clusters over that of as many independent items; at least 1.

    ``C/(C - 1) * sum over clusters of (sum of (x - mean) in it)^2 / (n mean (1 - mean))`` (Liang and Zeger 1986; Kish
    1965). 1 where all items are alike or there is one cluster, which leave nothing to compare.

    Args:
        right     [item]  whether the detector was right.
        clusters  [item]  number of the cluster.
    """
    if not len(right):
        return 1.0
    x = np.asarray(right, dtype=np.float64)
    mean, count = float(x.mean()), len(np.unique(clusters))
    if mean in (0.0, 1.0) or count < 2:
        return 1.0
    off = np.bincount(clusters, weights=x - mean)
    return max(1.0, count / (count - 1) * float(off @ off) / (len(x) * mean * (1 - mean)))


@dataclass(frozen=True, slots=True)
class CorrectedRate:
    """A rate as the detector shows it, and as it is once the detector's errors are taken out."""

    raw: Estimate
    corrected: Estimate | None
    """Its interval holds the sampling of items and what is not known of the detector; None where it is too weak."""
    why_not: str = ""
    """Why there is no corrected rate."""


def corrected_rate(
    flags: Sequence[Count] | np.ndarray,
    clusters: Sequence[Hashable] | None,
    error: Confusion,
    *,
    draws: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> CorrectedRate:
    """A rate of what the detector found, with and without its errors.

    The corrected value is Rogan and Gladen's. Its interval is central in the joint posterior of the true rate (uniform
    before), the sensitivity and the specificity (Jeffreys' after the labels) given the flags: where fewer are flagged
    than false alarms alone should give, that speaks for a better specificity, and the interval stays one and does not
    shrink to 0. Clusters of items that resemble one another count as fewer (design effect). The raw interval is from
    resampling whole clusters, Wilson's where all flags are alike.

    Args:
        flags     [item]  1 where the detector found it, 0 where not.
        clusters  [item]  what items share; None when each stands alone.
        error             the detector's counts.
        draws             of sensitivity and specificity, and resamples; at least 100.

    Raises:
        DataError: no items.
    """
    check_level(level)
    check_draws(draws)
    x = np.asarray(flags, dtype=np.float64)
    if not len(x):
        raise DataError("a rate needs at least one item")
    index, count = number_clusters(clusters, len(x))
    sums, sizes = np.bincount(index, weights=x), np.bincount(index).astype(np.float64)
    rate, rng = float(x.mean()), np.random.default_rng(seed)
    groups = None if clusters is None else count
    if rate in (0.0, 1.0) or count < 2:
        independent = float(count)
        plain = wilson(rate * count, count, level)
        raw = Estimate(rate, plain.low, plain.high, len(x), groups, level)
    else:
        independent = len(x) / design_effect(x, index)
        taken = rng.integers(count, size=(draws, count))
        low, high = np.quantile(sums[taken].sum(1) / sizes[taken].sum(1), [0.5 - level / 2, 0.5 + level / 2])
        raw = Estimate(rate, min(float(low), rate), max(float(high), rate), len(x), groups, level)
    if weak := error.too_weak(level=level):
        return CorrectedRate(raw, None, weak)
    low, high = _posterior_ends(rate, independent, *error.draws(draws, rng), level)
    value = error.correct_rate(rate)
    return CorrectedRate(raw, Estimate(value, min(low, value), max(high, value), len(x), groups, level))


def _posterior_ends(
    rate: float, n: float, sensitivity: np.ndarray, specificity: np.ndarray, level: float
) -> tuple[float, float]:
    """Ends of the central interval of the true rate, on a grid, averaged over the draws of the detector's errors."""
    true = (np.arange(_GRID) + 0.5) / _GRID
    shown = sensitivity[:, None] * true + (1 - specificity[:, None]) * (1 - true)
    shown = np.clip(shown, 1e-12, 1 - 1e-12)
    fit = n * (rate * np.log(shown) + (1 - rate) * np.log1p(-shown))
    mass = np.cumsum(np.exp(fit - fit.max()).sum(0))
    ends = np.interp([0.5 - level / 2, 0.5 + level / 2], mass / mass[-1], true + 0.5 / _GRID)
    return float(ends[0]), float(ends[1])


def _share(right: Count, wrong: Count, effect: float) -> Estimate:
    """Wilson's interval for as many independent items as the design effect leaves; ``n`` stays the items counted."""
    n = right + wrong
    few = max(1, round(n / effect))
    interval = wilson(right / n * few, few)
    return Estimate(interval.value, interval.low, interval.high, int(n))


def _variance(share: Estimate, effect: float) -> float:
    p = (share.value * share.n + 0.5) / (share.n + 1)  # Jeffreys' mean: a share of 1 is not certain
    return p * (1 - p) / (share.n / effect)
