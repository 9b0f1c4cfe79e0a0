"""Attention over rows laid end to end against one dense softmax over the whole batch, written out here."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from preflab.data.rows import Row, RowBatch, collate
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.models.row_attention.attention import Layout, flex_over_batch, row_attention, sdpa_per_row, to_device

CPU = torch.device("cpu")
ROWS = [
    Row(((10, 11), (12, 13), (14,), (15, 16), (17,)), (-1, 0, 0, 1, 1), (2, 3, 4)),
    Row.of([5, 6, 7], [8]),  # a chain: plain causal attention
    Row.of([5, 6], [7, 8, 9], [4]),
]
LONG = [Row.of(range(200), *([7] * n for n in (90, 3, 1, 100, 60))), Row.of(range(5, 165), [8])]


def inputs(batch: RowBatch, *, heads: int = 4, groups: int = 2, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    n = batch.n_tokens
    shapes = [(1, heads, n, 8), (1, groups, n, 8), (1, groups, n, 8)]
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


def dense(rows: list[Row], query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Every token over every token of the batch, one softmax, sisters and other rows at -inf."""
    seen = torch.block_diag(*(row.mask().double() for row in rows)).bool()
    key, value = (t.repeat_interleave(query.shape[1] // t.shape[1], dim=1) for t in (key, value))
    weights = (query @ key.transpose(2, 3) * scaling).masked_fill(~seen, -math.inf).softmax(-1)
    return weights @ value


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")  # as it is on a processor
@pytest.mark.parametrize("attend", [sdpa_per_row, flex_over_batch])
@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("rows", [ROWS, LONG])
def test_rows_end_to_end_attend_as_one_dense_softmax_says(  # type: ignore[no-untyped-def]
    attend, groups: int, rows: list[Row]
) -> None:
    batch = collate(rows)
    dtype = torch.float64 if attend is sdpa_per_row else torch.float32  # FlexAttention wants at most 32 bits
    query, key, value = inputs(batch, groups=groups, dtype=dtype)
    with torch.no_grad():
        found = attend(query, key, value, Layout(batch, CPU), 0.3)
    expected = dense(rows, query, key, value, 0.3)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rows", [ROWS, LONG])
def test_gradients_are_those_of_the_dense_softmax(rows: list[Row]) -> None:
    batch = collate(rows)
    weights = torch.randn(1, 4, batch.n_tokens, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grads = []
    for way in ("rows", "dense"):
        q, k, v = (t.requires_grad_() for t in inputs(batch))
        out = sdpa_per_row(q, k, v, Layout(batch, CPU), 0.3) if way == "rows" else dense(rows, q, k, v, 0.3)
        (out * weights).sum().backward()
        grads.append([q.grad, k.grad, v.grad])
    for mine, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_blocks_of_rows_are_worked_out_once_a_batch() -> None:
    layout = Layout(collate(ROWS), CPU)
    first = layout.row_blocks(torch.float32)
    assert layout.row_blocks(torch.float32) is first
    assert layout.row_blocks(torch.float64) is not first


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_flex_blocks_hide_what_the_rows_hide(lengths: list[int], replies: int) -> None:
    rows = [Row.of(range(5, 5 + n), *([9] * (1 + k % 2) for k in range(replies))) for n in lengths]
    batch = collate(rows)
    blocks = Layout(batch, CPU).flex_mask
    index = torch.arange(batch.n_tokens)
    zero = torch.tensor(0)
    seen = blocks.mask_mod(zero, zero, index[:, None], index[None, :])
    assert torch.equal(seen, torch.block_diag(*(row.mask().double() for row in rows)).bool())


def test_a_call_without_rows_is_ordinary_attention() -> None:
    batch = collate([Row.of([5, 6, 7], [8, 9])])
    query, key, value = inputs(batch, groups=4)
    causal = Row.of([5, 6, 7], [8, 9]).mask()[None, None]
    module = torch.nn.Module()
    found, _ = row_attention(module, query, key, value, causal, scaling=0.3)
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, causal, scale=0.3)
    torch.testing.assert_close(found, expected.transpose(1, 2))


def test_the_mask_that_carries_the_layout_holds_one_element() -> None:
    placed = to_device(collate(ROWS), CPU)
    assert placed.mask.shape == (1, 1, 18, 18)
    assert placed.mask.untyped_storage().nbytes() == 1


def test_every_token_is_run_once_and_nothing_is_padded() -> None:
    role = Trunk(load_language_model("tiny", precision="fp32"), AdapterConfig(rank=2)).add_role("r", head=True)
    shapes = []
    role.trunk.model.base_model.layers[0].mlp.register_forward_hook(lambda m, i, o: shapes.append(tuple(i[0].shape)))
    role.scores(collate(ROWS))
    assert shapes == [(1, sum(len(row) for row in ROWS), 32)]
