"""Cutting a row into pieces that attend apart, so that sisters do not pay for each other.

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

PIECE_TOKENS = 128
"""Neighbouring subtrees attend together up to this size: a call costs something too."""


class RowBlock(NamedTuple):
    """Tokens ``start`` to ``stop`` of a row: they see its first ``root`` tokens, and one another as the mask says."""

    start: int
    stop: int
    root: int
    mask: Float[Tensor, "token seen"] | None
    """0 where a token sees another and -inf where not, the root's tokens first; None: all before it."""


def row_blocks(
    enter: Int[Tensor, " token"], leave: Int[Tensor, " token"], dtype: torch.dtype, *, size: int = PIECE_TOKENS
) -> list[RowBlock]:
    """The pieces of one row, in order, every token in one.

    Args:
        enter, leave  spans of the tokens' segments (``data.rows.Row.spans``): a token sees those before it whose span
                      holds its own.
    """
    n = len(enter)
    starts = [0, *(torch.nonzero(enter[1:] != enter[:-1]).flatten() + 1).tolist()]
    spans = list(zip(enter[starts].tolist(), leave[starts].tolist(), strict=True))
    rooted = all(spans[0][0] <= e < spans[0][1] for e, _ in spans)
    chain = all(a[0] <= b[0] < a[1] for a, b in pairwise(spans))
    root = starts[1] if rooted and not chain and n > size else 0
    cuts = [root, *_cuts(spans, starts, n, size)] if root else [0]
    found = [RowBlock(0, root, 0, None)] if root else []
    for start, stop in zip(cuts, (*cuts[1:], n), strict=True):
        if start < stop:
            found.append(RowBlock(start, stop, root, _mask(enter[start:stop], leave[start:stop], root, dtype)))
    return found


def _cuts(spans: list[tuple[int, int]], starts: list[int], n: int, size: int) -> list[int]:
    """Where, behind the root, a piece may begin and one does: no segment from there on has an ancestor before."""
    top = list[int]()  # the first segment of each segment's subtree below the root
    for s, (enter, _) in enumerate(spans):
        top.append(next((t for t in range(1, s) if spans[t][0] <= enter < spans[t][1]), s))
    needed = n  # the earliest start that anything from here on needs
    free = set[int]()
    for s in reversed(range(1, len(spans))):
        needed = min(needed, starts[top[s]])
        if needed == starts[s]:
            free.add(starts[s])
    cuts, begun = list[int](), starts[1]
    for here, after in zip(starts[2:], (*starts[3:], n), strict=True):
        if here in free and after - begun > size:
            cuts.append(here)
            begun = here
    return cuts


def _mask(
    enter: Int[Tensor, " token"], leave: Int[Tensor, " token"], root: int, dtype: torch.dtype
) -> Float[Tensor, "token seen"] | None:
    seen = ((enter[None, :] <= enter[:, None]) & (enter[:, None] < leave[None, :])).tril()
    n = len(enter)
    if root == 0 and int(seen.sum()) == n * (n + 1) // 2:
        return None
    mask = torch.zeros(n, root + n, dtype=dtype, device=enter.device)
    mask[:, root:].masked_fill_(~seen, float("-inf"))
    return mask
