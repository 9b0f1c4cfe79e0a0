"""Cutting a row into blocks that attend apart, so that sisters do not pay for each other.

All tokens below a root see the whole root and something of their own subtree. Attending over the row as a square
computes, and masks away, what sisters would have seen of each other, and what the root would have seen of all of them:
for a prefix of R tokens and S tokens below it (R + S)^2 entries. The root alone is causal (half its square); each group
of subtrees takes a rectangle, its own tokens by the root and itself. Nothing is approximated.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK_TOKENS = 128
"""Neighbouring subtrees attend together up to this size: a call costs something too."""


class RowBlock(NamedTuple):
    """Tokens ``start`` to ``stop`` of a row: they see its first ``root`` tokens, and one another as the mask says."""

    start: int
    stop: int
    root: int
    mask: Float[Tensor, "token visible"] | None
    """0 where a token sees another and -inf where not, the root's tokens first; None: all before it."""


def row_blocks(
    subtree_start: Int[Tensor, " token"],
    subtree_end: Int[Tensor, " token"],
    dtype: torch.dtype,
    *,
    size: int = BLOCK_TOKENS,
) -> list[RowBlock]:
    """The blocks of one row, in order, every token in one.

    Args:
        subtree_start, subtree_end  [token]  spans of the tokens' segments (``data.rows.Row.spans``): a token sees those
                                             before it whose span holds its own.
        dtype                                of the masks.
        size                                 tokens up to which neighbouring subtrees share a block.
    """
    n = len(subtree_start)
    starts = [0, *(torch.nonzero(subtree_start[1:] != subtree_start[:-1]).flatten() + 1).tolist()]
    spans = list(zip(subtree_start[starts].tolist(), subtree_end[starts].tolist(), strict=True))
    rooted = all(spans[0][0] <= e < spans[0][1] for e, _ in spans)
    chain = all(a[0] <= b[0] < a[1] for a, b in pairwise(spans))
    root = starts[1] if rooted and not chain and n > size else 0
    cuts = [root, *_cuts(spans, starts, n, size)] if root else [0]
    blocks = [RowBlock(0, root, 0, None)] if root else []
    for start, stop in zip(cuts, (*cuts[1:], n), strict=True):
        if start < stop:
            mask = _mask(subtree_start[start:stop], subtree_end[start:stop], root, dtype)
            blocks.append(RowBlock(start, stop, root, mask))
    return blocks


def _cuts(spans: list[tuple[int, int]], starts: list[int], n: int, size: int) -> list[int]:
    """Where, behind the root, a block may begin and one does: no segment from there on has an ancestor before."""
    top = list[int]()  # the first segment of each segment's subtree below the root
    for s, (first, _) in enumerate(spans):
        top.append(next((t for t in range(1, s) if spans[t][0] <= first < spans[t][1]), s))
    needed = n  # the earliest start that anything from here on needs
    free = set[int]()
    for s in reversed(range(1, len(spans))):
        needed = min(needed, starts[top[s]])
        if needed == starts[s]:
            free.add(starts[s])
    cuts, begun = list[int](), starts[1]
    for start, stop in zip(starts[2:], (*starts[3:], n), strict=True):
        if start in free and stop - begun > size:
            cuts.append(start)
            begun = start
    return cuts


def _mask(
    subtree_start: Int[Tensor, " token"], subtree_end: Int[Tensor, " token"], root: int, dtype: torch.dtype
) -> Float[Tensor, "token visible"] | None:
    starts = subtree_start[:, None]
    visible = ((subtree_start[None, :] <= starts) & (starts < subtree_end[None, :])).tril()
    n = len(subtree_start)
    if root == 0 and int(visible.sum()) == n * (n + 1) // 2:
        return None
    mask = torch.zeros(n, root + n, dtype=dtype, device=subtree_start.device)
    mask[:, root:].masked_fill_(~visible, float("-inf"))
    return mask
