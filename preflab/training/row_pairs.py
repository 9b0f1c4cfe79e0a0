"""The judged pairs of a row, as indices of its replies: of one comparison, or of several where the row is a tree."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from preflab.data.comparison import Comparison
from preflab.data.rows import Row
from preflab.errors import DataError

Judgements = Comparison | Sequence[Comparison]
"""What was judged of a row's replies: one comparison, or several, whose replies follow one another in the row."""


@dataclass(frozen=True)
class RowPairs:
    """Every judged pair of one row. Pairs of one comparison weigh 1 together, whatever their number."""

    n_comparisons: int
    """Comparisons that have a pair."""
    a: list[int] = field(default_factory=list)
    """Number of the first reply, counted over the row."""
    b: list[int] = field(default_factory=list)
    prob_a: list[float] = field(default_factory=list)
    """Probability in [0, 1] that the first is the better one."""
    weight: list[float] = field(default_factory=list)
    """1 / pairs of the comparison."""


def row_pairs(row: Row, judgements: Judgements, *, ties: bool) -> RowPairs:
    """The pairs of a row; tied ones count with probability one half, or not at all.

    Raises:
        DataError: the comparisons do not have as many replies as the row.
    """
    all_pairs = RowPairs(n_comparisons=sum(1 for c, _ in numbered(row, judgements) if any(c.pairs(ties=ties))))
    for comparison, first in numbered(row, judgements):
        pairs = list(comparison.pairs(ties=ties))
        all_pairs.a.extend(first + pair.a for pair in pairs)
        all_pairs.b.extend(first + pair.b for pair in pairs)
        all_pairs.prob_a.extend(pair.prob_a for pair in pairs)
        all_pairs.weight.extend(1 / len(pairs) for _ in pairs)
    return all_pairs


def numbered(row: Row, judgements: Judgements) -> Iterator[tuple[Comparison, int]]:
    """Each comparison of a row, with the number of its first reply.

    Raises:
        DataError: the comparisons do not have as many replies as the row.
    """
    comparisons = [judgements] if isinstance(judgements, Comparison) else list(judgements)
    replies = sum(len(c.replies) for c in comparisons)
    if replies != len(row.replies):
        raise DataError(f"a row of {len(row.replies)} replies was given comparisons of {replies}")
    first = 0
    for comparison in comparisons:
        yield comparison, first
        first += len(comparison.replies)


@dataclass(frozen=True)
class BatchPairs:
    """Pairs of several rows, as indices of the replies of all of them laid together."""

    a: Tensor
    b: Tensor
    prob_a: Tensor
    weight: Tensor

    @classmethod
    def of(cls, rows: Sequence[tuple[Row, RowPairs]], device: torch.device) -> "BatchPairs":
        """Number the replies on from row to row."""
        a: list[int] = []
        b: list[int] = []
        first = 0
        for row, pairs in rows:
            a += [first + k for k in pairs.a]
            b += [first + k for k in pairs.b]
            first += len(row.replies)
        prob = [p for _, pairs in rows for p in pairs.prob_a]
        weight = [w for _, pairs in rows for w in pairs.weight]
        index, real = torch.tensor([a, b], device=device), torch.tensor([prob, weight], device=device)
        return cls(index[0], index[1], real[0], real[1])
