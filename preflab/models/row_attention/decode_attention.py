"""Attention of one new token of each sample over what the samples hold, for processors.

Prompts of all lengths end in the same column of the cache, so a short one stands behind empty columns. Samples that
lie side by side and begin at nearly the same column are attended together, and the empty columns before the first of
them are not read: reading keys and values is all that this costs.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

TOGETHER = 16
"""Samples in a piece. More read more empty columns, fewer make more calls."""


class Piece(NamedTuple):
    """Samples that are attended together."""

    samples: slice
    first: int
    """The column where the first of them begins."""
    whole: bool
    """Whether they all begin there, so that nothing is masked."""


class Step:
    """Which columns each sample sees: from its own first column on. Travels with the mask, as ``Layout`` does."""

    def __init__(self, starts: list[int], seen: Tensor) -> None:
        """``starts`` are the samples' first columns; ``seen`` says the same as a mask, [sample column], True = seen."""
        self.pieces = list(_pieces(starts))
        self._seen = seen
        self._additive: dict[torch.dtype, Tensor] = {}

    def additive(self, piece: Piece, columns: int, dtype: torch.dtype) -> Float[Tensor, "sample 1 1 column"] | None:
        """0 where a sample sees a column and -inf where not; None where all see all."""
        if piece.whole:
            return None
        if dtype not in self._additive:
            bias = torch.zeros(self._seen.shape, dtype=dtype, device=self._seen.device)
            self._additive[dtype] = bias.masked_fill_(~self._seen, float("-inf"))
        return self._additive[dtype][piece.samples, None, None, piece.first : columns]


def _pieces(starts: list[int]) -> list[Piece]:
    """Neighbours in pieces of ``TOGETHER``, joined where a piece begins at the column where the one before does."""
    found: list[Piece] = []
    for at in range(0, len(starts), TOGETHER):
        own = starts[at : at + TOGETHER]
        piece = Piece(slice(at, at + len(own)), min(own), len(set(own)) == 1)
        if found and found[-1][1:] == piece[1:]:
            piece = piece._replace(samples=slice(found.pop().samples.start, piece.samples.stop))
        found.append(piece)
    return found


def by_piece(
    query: Float[Tensor, "sample head 1 dim"],
    key: Float[Tensor, "sample group column dim"],
    value: Float[Tensor, "sample group column dim"],
    step: Step,
    scaling: float | None,
) -> Float[Tensor, "sample head 1 dim"]:
    """SDPA piece by piece. The heads that share keys go as so many queries, so that no key is copied for each."""
    samples, heads, _, _ = query.shape
    together = query.reshape(samples, key.shape[1], heads // key.shape[1], query.shape[-1])
    outs = [
        F.scaled_dot_product_attention(
            together[piece.samples],
            key[piece.samples, :, piece.first :],
            value[piece.samples, :, piece.first :],
            step.additive(piece, key.shape[2], query.dtype),
            scale=scaling,
        )
        for piece in step.pieces
    ]
    return torch.cat(outs).reshape(samples, heads, 1, value.shape[-1])
