"""Attention over rows that lie end to end: each row sees itself alone, and in it each token its ancestors.

One attention function serves every model that goes through transformers' attention interface. On a CPU it runs row
by row through SDPA, the branches of a row apart from each other (``row_blocks``), so that nothing is computed for
padding, between rows or between sisters; on a GPU it is FlexAttention over the
whole batch, with blocks that hold nothing visible left out. A call without rows (sampling with a cache, a plain
forward pass) is ordinary SDPA.

What a batch looks like travels with the mask that the model hands through to its attention layers: a tensor of the
right shape that holds one element, with the layout attached.
"""

from functools import cache, cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from preflab.models.row_attention.decode_attention import DecodeLayout, decode_attention
from preflab.models.row_attention.row_blocks import RowBlock, row_blocks

NAME = "preflab_rows"
"""What transformers calls this attention function."""


@runtime_checkable
class Rows(Protocol):
    """The part of ``data.rows.RowBatch`` that a model reads."""

    @property
    def ids(self) -> Int[Tensor, "1 token"]:
        """Tokens, rows end to end."""
        ...

    @property
    def positions(self) -> Int[Tensor, "1 token"]:
        """Distance of each token from its root."""
        ...

    @property
    def subtree_start(self) -> Int[Tensor, " token"]:
        """Number of each token's segment, depth first."""
        ...

    @property
    def subtree_end(self) -> Int[Tensor, " token"]:
        """One past the number of that segment's last descendant."""
        ...

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each row."""
        ...

    @property
    def read_at(self) -> Int[Tensor, " reply"]:
        """Where each score is read."""
        ...

    @property
    def predict_at(self) -> Int[Tensor, " item"]:
        """Where each reply token is predicted."""
        ...

    @property
    def targets(self) -> Int[Tensor, " item"]:
        """The reply tokens."""
        ...


class DeviceBatch(NamedTuple):
    """A batch on the model's device, with its mask."""

    ids: Int[Tensor, "1 token"]
    positions: Int[Tensor, "1 token"]
    mask: Bool[Tensor, "1 1 token token"]
    read_at: Int[Tensor, " reply"]
    predict_at: Int[Tensor, " item"]
    targets: Int[Tensor, " item"]


def to_device(rows: Rows, device: torch.device) -> DeviceBatch:
    """Move a batch to a device and work out who sees whom."""
    tensors = (rows.ids, rows.positions, Layout.mask(rows, device), rows.read_at, rows.predict_at, rows.targets)
    return DeviceBatch(*(tensor.to(device) for tensor in tensors))


def run_body(model: Any, batch: DeviceBatch, **inputs: Tensor) -> Float[Tensor, "1 token hidden"]:
    """Last hidden states over a batch of rows, of a causal language model or of the body it stands on."""
    inputs = {**inputs, "position_ids": batch.positions, "attention_mask": batch.mask}
    sharded = getattr(model, "run_rows", None)  # see ``parallel.shard``
    if sharded is not None:
        hidden: Tensor = sharded(**inputs, use_cache=False)
        return hidden
    hidden = model.base_model(**inputs, use_cache=False).last_hidden_state
    return hidden


class Layout:
    """Who sees whom in a batch of rows, in the form each kind of attention wants it; worked out once a batch."""

    def __init__(self, rows: Rows, device: torch.device) -> None:
        self.lengths = rows.lengths
        self.subtree_start, self.subtree_end = rows.subtree_start.to(device), rows.subtree_end.to(device)
        self._row_blocks: dict[torch.dtype, list[list[RowBlock]]] = {}

    @classmethod
    def mask(cls, rows: Rows, device: torch.device) -> Bool[Tensor, "1 1 token token"]:
        """What to hand a model as its attention mask: one element, seen as a whole mask, with the layout attached."""
        n = sum(rows.lengths)
        mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device).expand(1, 1, n, n)
        mask.preflab_layout = cls(rows, device)  # type: ignore[attr-defined]
        return mask

    def row_blocks(self, dtype: torch.dtype) -> list[list[RowBlock]]:
        """Of each row: which of its tokens attend together, and to what."""
        if dtype not in self._row_blocks:
            by_row = (torch.split(t, list(self.lengths)) for t in (self.subtree_start, self.subtree_end))
            self._row_blocks[dtype] = [row_blocks(starts, ends, dtype) for starts, ends in zip(*by_row, strict=True)]
        return self._row_blocks[dtype]

    @cached_property
    def flex_mask(self) -> Any:
        """FlexAttention's block mask over the whole batch."""
        from torch.nn.attention.flex_attention import create_block_mask

        start, end, n = self.subtree_start, self.subtree_end, len(self.subtree_start)
        # A lambda, since FlexAttention counts the arguments, which a function that is checked in tests hides.
        return create_block_mask(
            lambda _b, _h, i, j: (j <= i) & (start[j] <= start[i]) & (start[i] < end[j]),
            None,
            None,
            n,
            n,
            device=str(start.device),
        )


def row_attention(
    module: torch.nn.Module,
    query: Float[Tensor, "batch head token dim"],
    key: Float[Tensor, "batch group token_kv dim"],
    value: Float[Tensor, "batch group token_kv dim"],
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "batch token head dim"], None]:
    """The attention function that transformers calls in every layer."""
    layout: Layout | DecodeLayout | None = getattr(attention_mask, "preflab_layout", None)
    if isinstance(layout, DecodeLayout):
        return decode_attention(query, key, value, layout, scaling).transpose(1, 2), None
    if layout is None:
        return sdpa_attention_forward(  # type: ignore[no-any-return]
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    attend = flex_over_batch if query.is_cuda else sdpa_per_row
    return attend(query, key, value, layout, scaling).transpose(1, 2).contiguous(), None


def sdpa_per_row(
    query: Float[Tensor, "1 head token dim"],
    key: Float[Tensor, "1 group token dim"],
    value: Float[Tensor, "1 group token dim"],
    layout: Layout,
    scaling: float | None,
) -> Float[Tensor, "1 head token dim"]:
    """SDPA of each block of each row: for processors, where many small calls cost little beside the linear layers."""
    grouped = query.shape[1] != key.shape[1]
    outs, row_start = list[Tensor](), 0
    for n, blocks in zip(layout.lengths, layout.row_blocks(query.dtype), strict=True):
        for start, stop, root, mask in blocks:
            k, v = (_visible_part(t, row_start, row_start + start, row_start + stop, root) for t in (key, value))
            outs.append(
                F.scaled_dot_product_attention(
                    query[:, :, row_start + start : row_start + stop],
                    k,
                    v,
                    mask,
                    is_causal=mask is None,
                    scale=scaling,
                    enable_gqa=grouped,
                )
            )
        row_start += n
    return torch.cat(outs, dim=2)


def _visible_part(states: Tensor, row_start: int, start: int, stop: int, root: int) -> Tensor:
    """The first ``root`` tokens of a row and those from ``start`` to ``stop``."""
    if start == row_start + root:
        return states[:, :, row_start:stop]
    block = states[:, :, start:stop]
    return torch.cat((states[:, :, row_start : row_start + root], block), dim=2) if root else block


def flex_over_batch(
    query: Float[Tensor, "1 head token dim"],
    key: Float[Tensor, "1 group token dim"],
    value: Float[Tensor, "1 group token dim"],
    layout: Layout,
    scaling: float | None,
) -> Float[Tensor, "1 head token dim"]:
    """FlexAttention over all rows at once: for GPUs."""
    grouped = query.shape[1] != key.shape[1]
    flex = flex_attention_for(query.device.type)
    out: Tensor = flex(query, key, value, block_mask=layout.flex_mask, scale=scaling, enable_gqa=grouped)
    return out


@cache
def flex_attention_for(device: str) -> Any:
    """FlexAttention, compiled once for all shapes; as it is where that would not pay (a test on a processor)."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True) if device == "cuda" else flex_attention


AttentionInterface.register(NAME, row_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
