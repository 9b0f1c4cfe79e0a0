"""Who beat whom: votes between named items, and whether such votes can be rated at all.

Ratings by maximum likelihood exist only where every item can be reached from every other by a chain of wins (Ford
1957): an item that never lost would be rated infinitely high, and two groups that never met cannot be compared.
Libraries that iterate regardless return numbers without meaning; `diagnose` names the items instead.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import sparse  # type: ignore[import-untyped, unused-ignore]
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import DataError
from preflab.maths.statistics import Count, number_clusters

Ties: TypeAlias = Literal["davidson", "half"]
_SHOWN = 8  # names that a complaint lists


@dataclass(frozen=True, eq=False, kw_only=True)
class Votes:
    """Comparisons of two items each; make them with `of`."""

    names: tuple[str, ...]
    """What is rated; the arrays below hold places in it."""
    first: Int64[np.ndarray, " vote"]
    second: Int64[np.ndarray, " vote"]
    outcome: Float64[np.ndarray, " vote"]
    """Probability in [0, 1] that the first is better: 1 or 0 for a choice, 0.5 for a tie."""
    weight: Float64[np.ndarray, " vote"]
    """How many comparisons a vote counts as."""
    voter: Int64[np.ndarray, " vote"]
    """Number of who voted, from 0."""
    voters: int | None
    """How many there are; None when every vote stands alone."""

    @classmethod
    def of(
        cls,
        first: Sequence[str],
        second: Sequence[str],
        outcome: Sequence[Count],
        *,
        weights: Sequence[Count] | None = None,
        voters: Sequence[Hashable] | None = None,
        names: Sequence[str] | None = None,
    ) -> "Votes":
        """Votes from lists of one length.

        Args:
            first    [vote]  name of one item.
            second   [vote]  name of the other.
            outcome  [vote]  1 where the first is better, 0 where the second is, 0.5 for a tie; a share is allowed
                             where ties count half.
            weights  [vote]  above 0; None counts each vote once. Weights stand for repetitions: doubling all of
                             them narrows intervals from the curvature, but not bootstrapped ones.
            voters   [vote]  who voted: votes of one voter are resampled together.
            names            items in the order wanted; None takes them as they appear.

        Raises:
            DataError: no votes, lists of different lengths, an item against itself, an outcome outside [0, 1], a
                weight that is not positive and finite, or an item that ``names`` lacks.
        """
        n = len(first)
        w = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
        y = np.asarray(outcome, dtype=np.float64)
        if n == 0:
            raise DataError("there must be at least one vote, got none")
        if not n == len(second) == len(y) == len(w):
            raise DataError(f"votes need lists of one length, got {n}, {len(second)}, {len(y)} and {len(w)} weights")
        if not ((y >= 0) & (y <= 1)).all():
            raise DataError(f"outcomes must be in [0, 1], got {y[~((y >= 0) & (y <= 1))][0]}")
        if not ((w > 0) & np.isfinite(w)).all():
            raise DataError(f"weights must be positive and finite, got {w[~((w > 0) & np.isfinite(w))][0]}")
        all_names = tuple(dict.fromkeys([*first, *second] if names is None else names))
        index_of = {name: k for k, name in enumerate(all_names)}
        for a, b in zip(first, second, strict=True):
            if a == b:
                raise DataError(f"an item cannot be compared with itself, got {a!r} against {b!r}")
            if a not in index_of or b not in index_of:
                raise DataError(f"votes may name only the items given; {(b if a in index_of else a)!r} is none of them")
        voter, count = number_clusters(voters, n)
        return cls(
            names=all_names,
            first=np.array([index_of[a] for a in first], dtype=np.int64),
            second=np.array([index_of[b] for b in second], dtype=np.int64),
            outcome=y,
            weight=w,
            voter=voter,
            voters=None if voters is None else count,
        )

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, eq=False)
class Tally:
    """Votes counted by pair of items: all that ratings depend on."""

    names: tuple[str, ...]
    left: Int64[np.ndarray, " pair"]
    """Place of the item of each pair that comes first in ``names``."""
    right: Int64[np.ndarray, " pair"]
    parts: Any
    """[voter, 3 * pair] weight of left wins of all pairs, then of right wins, then of ties; sparse."""

    @cached_property
    def counts(self) -> Float64[np.ndarray, "3 pair"]:
        """Left wins, right wins and ties of all voters together."""
        return np.asarray(self.parts.sum(axis=0), dtype=np.float64).reshape(3, -1)

    @cached_property
    def ends(self) -> Any:
        """[pair, item] 1 for the left item, -1 for the right one; sparse."""
        pairs = np.arange(len(self.left))
        signs = np.repeat([1.0, -1.0], len(pairs))
        places = (np.tile(pairs, 2), np.concatenate([self.left, self.right]))
        return sparse.csr_matrix((signs, places), shape=(len(pairs), len(self.names)))


def tally(votes: Votes, ties: Ties) -> Tally:
    """Count votes by pair; with ``"half"`` a tie is half a win for each side, and so are shares of a win.

    Raises:
        DataError: an outcome is neither 0, 0.5 nor 1 where ties are a result of their own.
    """
    y, n = votes.outcome, len(votes.names)
    if ties == "davidson" and not np.isin(y, (0.0, 0.5, 1.0)).all():
        odd = y[~np.isin(y, (0.0, 0.5, 1.0))][0]
        raise DataError(f"with ties as a result of their own an outcome must be 0, 0.5 or 1, got {odd:g}")
    turned = votes.first > votes.second
    low, high = np.where(turned, votes.second, votes.first), np.where(turned, votes.first, votes.second)
    won = np.where(turned, 1 - y, y)
    tied = (y == 0.5) & (ties == "davidson")
    shares = np.stack([np.where(tied, 0, won), np.where(tied, 0, 1 - won), tied]) * votes.weight
    pairs, column = np.unique(low * n + high, return_inverse=True)
    columns = np.concatenate([column + k * len(pairs) for k in range(3)])
    shape = (int(votes.voter.max()) + 1, 3 * len(pairs))
    parts = sparse.csr_matrix((shares.ravel(), (np.tile(votes.voter, 3), columns)), shape=shape)
    parts.eliminate_zeros()
    return Tally(votes.names, pairs // n, pairs % n, parts)


@dataclass(frozen=True)
class Diagnosis:
    """What keeps votes from fixing ratings; nothing when they do."""

    groups: tuple[tuple[str, ...], ...]
    """Items that comparisons connect; more than one group means that nothing connects them."""
    unbeaten: tuple[tuple[str, ...], ...]
    """Items, or groups of them, that neither lost to nor tied with anybody else: their ratings run away upwards."""
    winless: tuple[tuple[str, ...], ...]
    """Those that neither beat nor tied with anybody else."""
    ties_run_away: bool
    """Whether any results could be made as likely as one likes by ever more ties and ever larger differences."""

    @property
    def sound(self) -> bool:
        """Whether a maximum of the likelihood exists."""
        return len(self.groups) == 1 and not (self.unbeaten or self.winless or self.ties_run_away)

    def complaints(self) -> tuple[str, ...]:
        """What is wrong, a sentence each."""
        sentences = []
        if len(self.groups) > 1:
            shown = " with ".join(_listed(group) for group in self.groups[:_SHOWN])
            sentences.append(f"no comparison connects {shown}")
        sentences += [f"{_listed(group)} never lost to or tied with anybody else" for group in self.unbeaten]
        sentences += [f"{_listed(group)} never beat or tied with anybody else" for group in self.winless]
        if self.ties_run_away:
            sentences.append("the share of ties and the differences could both grow for ever: no ring of results holds "
                         "more wins than ties")  # fmt: skip
        return tuple(sentences)


def diagnose(counted: Tally) -> Diagnosis:
    """Whether ratings of these votes exist, and which items stand in the way.

    Without ties as results of their own, a maximum exists exactly where wins lead from every item to every other
    (Ford 1957); a tie leads both ways. With Davidson's tie parameter there is one more way to fail: raise it for
    ever and all differences with it. That is possible exactly where some numbers ``d`` have ``d_i - d_j >= 1`` for
    each win of i over j and ``|d_i - d_j| <= 1`` for each tie, that is, unless a ring has more wins than ties.
    """
    names = counted.names
    over = _beats(counted, counted.counts)
    edges = sparse.csr_matrix(over)
    _, weak = connected_components(edges, directed=True, connection="weak")
    _, strong = connected_components(edges, directed=True, connection="strong")
    groups = _by_label(weak, names)
    unbeaten, winless = [], []
    for label, group in enumerate(_by_label(strong, names)):
        inside = strong == label
        if group in groups:
            continue  # it met nobody else: said already
        unbeaten += [group] if not over[~inside][:, inside].any() else []
        winless += [group] if not over[inside][:, ~inside].any() else []
    return Diagnosis(groups, tuple(unbeaten), tuple(winless), _ties_run_away(counted, counted.counts))


def is_sound(counted: Tally, counts: Float64[np.ndarray, "3 pair"]) -> bool:
    """Whether a maximum exists for other counts of the same pairs: the quick form of `diagnose`, for resamples."""
    edges = sparse.csr_matrix(_beats(counted, counts))
    if connected_components(edges, directed=True, connection="strong")[0] > 1:
        return False
    return not _ties_run_away(counted, counts)


def _beats(counted: Tally, counts: np.ndarray) -> Bool[np.ndarray, "item item"]:
    """Whether an item won against or tied with another."""
    over = np.zeros((len(counted.names),) * 2, dtype=bool)
    over[counted.left, counted.right] = (counts[0] > 0) | (counts[2] > 0)
    over[counted.right, counted.left] = (counts[1] > 0) | (counts[2] > 0)
    return over


def _ties_run_away(counted: Tally, counts: np.ndarray) -> bool:
    """Whether no ring of results has more wins than ties; Bellman and Ford's search for a negative ring."""
    wins_l, wins_r, tied = counts > 0
    if not tied.any():
        return False
    i, j = counted.left, counted.right
    start = np.concatenate([i[wins_l], j[wins_r], i[tied], j[tied]])
    end = np.concatenate([j[wins_l], i[wins_r], j[tied], i[tied]])
    length = np.concatenate([-np.ones(int(wins_l.sum() + wins_r.sum())), np.ones(2 * int(tied.sum()))])
    distance = np.zeros(len(counted.names))
    for _ in range(len(counted.names)):
        before = distance.copy()
        np.minimum.at(distance, end, before[start] + length)
        if (distance == before).all():
            return True  # settled: there is no negative ring
    return False


def _by_label(labels: np.ndarray, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names[k] for k in np.flatnonzero(labels == label)) for label in np.unique(labels))


def _listed(group: tuple[str, ...]) -> str:
    more = f" and {len(group) - _SHOWN} more" if len(group) > _SHOWN else ""
    return "{" + ", ".join(group[:_SHOWN]) + more + "}"
