"""How far people agree: Krippendorff's alpha, and the plain share of equal answers.

Judgements come as two lists of one length: the item, and the value somebody gave it. Who gave it does not matter to
alpha. A value of ``None`` or nan is missing and left out; an item with fewer than two values says nothing about
agreement and is left out too. Intervals come from resampling items, or the clusters that items share (a prompt, a
conversation). Numpy only.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Int64
from scipy import sparse  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import ConfigError, DataError
from preflab.maths.bootstrap import bootstrap_of_sums, percentiles
from preflab.maths.statistics import Estimate, check_level, number_clusters, wilson

Scale: TypeAlias = Literal["nominal", "ordinal", "interval", "ratio"]
"""What may be done with the values: told apart, ordered, subtracted, divided (Stevens 1946)."""
SCALES: tuple[Scale, ...] = ("nominal", "ordinal", "interval", "ratio")
Sums: TypeAlias = Float64[np.ndarray, "draw part"]


@dataclass(frozen=True)
class Resampling:
    """How an interval is made."""

    draws: int = 2000
    """Resamples, at least 100."""
    seed: int = 0
    """The same seed gives the same interval."""
    level: float = 0.95
    """Share of studies whose interval holds the truth."""

    def __post_init__(self) -> None:
        check_level(self.level)


DEFAULT = Resampling()


def krippendorff_alpha(
    items: Sequence[Hashable],
    values: Sequence[Any],
    scale: Scale = "nominal",
    *,
    clusters: Sequence[Hashable] | None = None,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Krippendorff's alpha: 1 is full agreement, 0 what chance gives, below 0 is systematic disagreement.

    ``alpha = 1 - D_o / D_e``. ``D_o`` is the mean distance between two values of one item, ``D_e`` between any two
    values: with coincidences ``o_ck`` (each pair of an item's m values counts ``1 / (m - 1)``), their sums ``n_c``
    and ``n``, ``alpha = 1 - (n - 1) sum o_ck d_ck / sum n_c n_k d_ck`` (Krippendorff 2011, "Computing Krippendorff's
    alpha-reliability"). Distances ``d_ck``: nominal ``[c != k]``; interval ``(c - k)^2``; ratio
    ``((c - k) / (c + k))^2``; ordinal ``(sum of n_g for g from c to k, less (n_c + n_k) / 2)^2``. For two raters, no
    gap and many items, nominal alpha is Scott's pi.

    Args:
        items     [value]  what was judged.
        values    [value]  what was said: anything hashable on the nominal scale, else finite numbers.
        scale              see `Scale`; ratio wants numbers of at least 0.
        clusters  [value]  what items share; None resamples items. An item lies in one cluster.

    Returns:
        alpha              at most 1; ``n`` counts items with two values or more. Without a single disagreement there
                           is nothing to resample: the lower end is then Wilson's for that many items, read as the
                           share of them that was not answered at random.

    Raises:
        ConfigError: ``scale`` or ``resampling`` is out of range.
        DataError: no item has two values, all values are equal (chance would agree as well: alpha is undefined),
            a value is no number on a scale that wants one, or an item lies in two clusters.
    """
    if scale not in SCALES:
        raise ConfigError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
    table = _coincidences(items, values, clusters, numbers=scale != "nominal")
    if scale == "ratio" and (table.numbers < 0).any():
        raise DataError(f"values on a ratio scale must be at least 0, got {table.numbers.min():g}")
    if len(table.categories) < 2:
        raise DataError(f"alpha needs two different values, got {table.categories[0]!r} everywhere")
    return _estimate(table, lambda sums: _alpha(table, sums, scale), resampling)


def raw_agreement(
    items: Sequence[Hashable],
    values: Sequence[Hashable],
    *,
    clusters: Sequence[Hashable] | None = None,
    resampling: Resampling = DEFAULT,
) -> Estimate:
    """Share of pairs of judgements of one item that say the same; nothing is taken off for chance.

    ``sum o_cc / n`` with the coincidences of `krippendorff_alpha`: an item of m values counts m times.

    Args:
        items, values, clusters   as in `krippendorff_alpha` on the nominal scale, and so are the errors.

    Returns:
        share                     in [0, 1].
    """
    table = _coincidences(items, values, clusters, numbers=False)
    return _estimate(table, table.share_equal, resampling)


# coincidences --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Coincidences:
    """Pairs of values of one item, counted by cluster: everything that agreement depends on."""

    categories: list[Any]
    numbers: Float64[np.ndarray, " category"]
    """The values as numbers; their codes on the nominal scale."""
    pairs: Int64[np.ndarray, "pair 2"]
    """Codes of the two values of each kind of pair that occurs."""
    parts: Any
    """[cluster, pair + category] coincidences of each kind, then how often each value stands in one."""
    item_codes: list[np.ndarray]
    """[value] codes of each item's values."""
    clustered: bool

    def share_equal(self, sums: Sums) -> np.ndarray:
        """Share of coincidences of equal values."""
        width = len(self.pairs)
        equal = self.pairs[:, 0] == self.pairs[:, 1]
        top, bottom = sums[:, :width][:, equal].sum(1), sums[:, width:].sum(1)
        return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)


def _coincidences(
    items: Sequence[Hashable], values: Sequence[Any], clusters: Sequence[Hashable] | None, *, numbers: bool
) -> _Coincidences:
    if len(items) != len(values):
        raise DataError(f"there must be one value per judgement, got {len(values)} values for {len(items)} items")
    groups, _ = number_clusters(clusters if clusters is not None else items, len(items))
    of_item: dict[Hashable, list[int]] = {}
    for k, (item, value) in enumerate(zip(items, values, strict=True)):
        if not _missing(value):
            of_item.setdefault(item, []).append(k)
    paired = {item: judgements for item, judgements in of_item.items() if len(judgements) > 1}
    if not paired:
        raise DataError(f"agreement needs an item with two judgements, got none among {len(of_item)} items")
    for item, judgements in paired.items():
        if len({int(groups[k]) for k in judgements}) > 1:
            raise DataError(f"an item must lie in one cluster, but {item!r} is in several")
    categories, codes = _coded([values[k] for judgements in paired.values() for k in judgements], numbers=numbers)
    ends = np.cumsum([len(judgements) for judgements in paired.values()])
    item_codes = np.split(codes, ends[:-1])
    x = np.array(categories if numbers else range(len(categories)), dtype=np.float64)
    cluster_of_item = np.array([groups[judgements[0]] for judgements in paired.values()], dtype=np.int64)
    return _tabulated(categories, x, item_codes, cluster_of_item, clusters is not None)


def _tabulated(
    categories: list[Any],
    numbers: np.ndarray,
    item_codes: list[np.ndarray],
    cluster_of_item: np.ndarray,
    clustered: bool,
) -> _Coincidences:
    k = len(categories)
    kinds, weights, rows = [], [], []
    cluster, groups = number_clusters(cluster_of_item, len(cluster_of_item))
    for codes, where in zip(item_codes, cluster.tolist(), strict=True):
        m = len(codes)
        kind = (codes[:, None] * k + codes[None, :])[~np.eye(m, dtype=bool)]
        kinds.append(kind)
        weights.append(np.full(len(kind), 1 / (m - 1)))
        rows.append(np.full(len(kind), where))
    which, column = np.unique(np.concatenate(kinds), return_inverse=True)
    row, weight = np.concatenate(rows), np.concatenate(weights)
    pairs = np.stack([which // k, which % k], axis=1).astype(np.int64)
    coincidences = sparse.csr_matrix((weight, (row, column)), shape=(groups, len(which)))
    margins = sparse.csr_matrix((weight, (row, np.concatenate(kinds) // k)), shape=(groups, k))
    parts = sparse.hstack([coincidences, margins], format="csr")
    return _Coincidences(categories, numbers, pairs, parts, item_codes, clustered)


def _alpha(table: _Coincidences, sums: Sums, scale: Scale) -> np.ndarray:
    """Alpha of every row of sums; nan where all values are equal."""
    width = len(table.pairs)
    coincidences, n_c = sums[:, :width], sums[:, width:]
    n, (a, b) = n_c.sum(1), table.pairs.T
    if scale == "nominal":
        observed, by_chance = coincidences[:, a != b].sum(1), n**2 - (n_c**2).sum(1)
    elif scale == "ratio":
        total = table.numbers[:, None] + table.numbers[None, :]
        apart = table.numbers[:, None] - table.numbers[None, :]
        distance = (apart / np.where(total > 0, total, 1.0)) ** 2
        observed, by_chance = coincidences @ distance[a, b], np.einsum("dc,ck,dk->d", n_c, distance, n_c)
    else:
        middle = n_c.cumsum(1) - n_c / 2  # ordinal: a value stands in the middle of its ranks
        x = middle if scale == "ordinal" else np.broadcast_to(table.numbers, n_c.shape)
        x = x - ((n_c * x).sum(1) / n)[:, None]  # about the mean, or the squares below cancel badly
        observed = (coincidences * (x[:, a] - x[:, b]) ** 2).sum(1)
        by_chance = 2 * n * (n_c * x**2).sum(1)
    varied = (n_c > 1e-9).sum(1) > 1  # rounding can leave by_chance above 0 where all values are equal
    return _one_minus((n - 1) * observed, np.where(varied, by_chance, 0.0))


# intervals -----------------------------------------------------------------------------------------------


def _estimate(table: _Coincidences, statistic: Callable[[Sums], np.ndarray], resampling: Resampling) -> Estimate:
    return _with_interval(table.parts, statistic, len(table.item_codes), table.clustered, resampling)


def _with_interval(
    parts: Any, statistic: Callable[[Sums], np.ndarray], n: int, clustered: bool, resampling: Resampling
) -> Estimate:
    value = float(statistic(_total(parts))[0])
    groups, level = parts.shape[0], resampling.level
    named = groups if clustered else None
    if groups < 2:
        return Estimate(value, -math.inf, math.inf, n, named, level)
    if value >= 1.0 - 1e-12:
        return Estimate(1.0, wilson(groups, groups, level).low, 1.0, n, named, level)
    draws = bootstrap_of_sums(parts, statistic, draws=resampling.draws, seed=resampling.seed)
    low, high = percentiles(draws, level)
    if low == high == value == 0.0:  # nobody ever agreed
        return Estimate(0.0, 0.0, wilson(0, groups, level).high, n, named, level)
    return Estimate(value, low, min(high, 1.0), n, named, level)


def _total(parts: Any) -> Sums:
    return np.asarray(parts.sum(axis=0), dtype=np.float64).reshape(1, -1)


def _one_minus(observed: np.ndarray, by_chance: np.ndarray) -> np.ndarray:
    """``1 - observed / by_chance``; nan where chance gives no disagreement either."""
    return np.where(by_chance > 0, 1 - observed / np.where(by_chance > 0, by_chance, 1.0), np.nan)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))


def _coded(values: list[Any], *, numbers: bool) -> tuple[list[Any], Int64[np.ndarray, " value"]]:
    """Different values in order (of size, or of appearance), and the place of each value among them."""
    if numbers:
        for value in values:
            if not isinstance(value, (int, float, np.integer, np.floating)) or not math.isfinite(value):
                raise DataError(f"values on this scale must be finite numbers, got {value!r}")
        categories: list[Any] = sorted({float(v) for v in values})
    else:
        categories = list(dict.fromkeys(values))
    code_of = {category: k for k, category in enumerate(categories)}
    return categories, np.array([code_of[float(v) if numbers else v] for v in values], dtype=np.int64)
