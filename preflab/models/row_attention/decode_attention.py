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

GROUP_SIZE = 16
"""Samples in a group. More read more empty columns, fewer make more calls."""


class SampleGroup(NamedTuple):
    """Samples that are attended together."""

    samples: slice
    first: int
    """The column where the first of them begins."""
    unmasked: bool
    """Whether they all begin there, so that nothing is masked."""


class DecodeLayout:
    """Which columns each sample sees: from its own first column on. Travels with the mask, as ``Layout`` does."""

    def __init__(self, starts: list[int], visible: Tensor) -> None:
        """``starts`` are the samples' first columns; ``visible`` says the same as a mask, [sample column]."""
        self.groups = _groups(starts)
        self._visible = visible
        self._additive: dict[torch.dtype, Tensor] = {}

    def additive(
        self, group: SampleGroup, columns: int, dtype: torch.dtype
    ) -> Float[Tensor, "sample 1 1 column"] | None:
        """0 where a sample sees a column and -inf where not; None where all see all."""
        if group.unmasked:
            return None
        if dtype not in self._additive:
            bias = torch.zeros(self._visible.shape, dtype=dtype, device=self._visible.device)
            self._additive[dtype] = bias.masked_fill_(~self._visible, float("-inf"))
        return self._additive[dtype][group.samples, None, None, group.first : columns]


def _groups(starts: list[int]) -> list[SampleGroup]:
    """Neighbours in groups of ``GROUP_SIZE``, joined where a group begins at the column where the one before does."""
    groups: list[SampleGroup] = []
    for first_sample in range(0, len(starts), GROUP_SIZE):
        columns = starts[first_sample : first_sample + GROUP_SIZE]
        samples = slice(first_sample, first_sample + len(columns))
        group = SampleGroup(samples, min(columns), len(set(columns)) == 1)
        if groups and groups[-1][1:] == group[1:]:
            group = group._replace(samples=slice(groups.pop().samples.start, group.samples.stop))
        groups.append(group)
    return groups


def decode_attention(
    query: Float[Tensor, "sample head 1 dim"],
    key: Float[Tensor, "sample group column dim"],
    value: Float[Tensor, "sample group column dim"],
    layout: DecodeLayout,
    scaling: float | None,
) -> Float[Tensor, "sample head 1 dim"]:
    """SDPA group by group. The heads that share keys go as so many queries, so that no key is copied for each."""
    samples, heads, _, _ = query.shape
    by_key_head = query.reshape(samples, key.shape[1], heads // key.shape[1], query.shape[-1])
    outs = [
        F.scaled_dot_product_attention(
            by_key_head[group.samples],
            key[group.samples, :, group.first :],
            value[group.samples, :, group.first :],
            layout.additive(group, key.shape[2], query.dtype),
            scale=scaling,
        )
        for group in layout.groups
    ]
    return torch.cat(outs).reshape(samples, heads, 1, value.shape[-1])
