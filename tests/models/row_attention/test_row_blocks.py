"""Pieces of a row: every token in one, and what the pieces let a token see is what the row's mask says."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from preflab.data.rows import Row
from preflab.models.row_attention.row_blocks import RowBlock, row_blocks

ROW = Row(((10, 11), (12, 13), (14,), (15, 16), (17,)), (-1, 0, 0, 1, 1), (2, 3, 4))


def spans(row: Row) -> tuple[Tensor, Tensor]:
    """Of each token."""
    own = [span for tokens, span in zip(row.segments, row.spans, strict=True) for _ in tokens]
    return torch.tensor([a for a, _ in own]), torch.tensor([b for _, b in own])


def pieces(row: Row, size: int) -> list[RowBlock]:
    return row_blocks(*spans(row), torch.float32, size=size)


def seen_through(found: list[RowBlock], n: int) -> Tensor:
    """The whole mask that the pieces stand for."""
    whole = torch.zeros(n, n, dtype=torch.bool)
    for start, stop, root, mask in found:
        own = torch.ones(stop - start, stop - start, dtype=torch.bool).tril() if mask is None else mask[:, root:] == 0
        assert mask is None or bool((mask[:, :root] == 0).all())
        whole[start:stop, :root] = True
        whole[start:stop, start:stop] = own
    return whole


def places(found: list[RowBlock]) -> list[tuple[int, int, int]]:
    return [(piece.start, piece.stop, piece.root) for piece in found]


def test_a_row_without_branches_is_one_piece_without_a_mask() -> None:
    for row in (Row((tuple(range(300)),), (-1,), ()), Row.of(range(200), range(100))):
        (piece,) = pieces(row, 128)
        assert places([piece]) == [(0, 300, 0)] and piece.mask is None


def test_a_short_row_is_one_piece() -> None:
    (piece,) = pieces(Row.of([5, 6], [7, 8, 9], [4]), 128)
    assert places([piece]) == [(0, 6, 0)] and piece.mask is not None
    # the last token sees the prefix and itself
    assert (piece.mask[-1] == 0).tolist() == [True, True, False, False, False, True]


def test_sisters_come_apart_and_short_ones_stay_together() -> None:
    # root 10; branches of 5, 2, 2 and 6 tokens, pieces of at most 5
    found = pieces(Row.of(range(10), range(5), range(2), range(2), range(6)), 5)
    assert places(found) == [(0, 10, 0), (10, 15, 10), (15, 19, 10), (19, 25, 10)]


def test_a_subtree_is_not_cut() -> None:
    # 0 1 | 2 3 (child of the root) | 4 (child of the root) | 5 6, 7 (children of the second segment): from 2 on all
    # hangs together, since a late segment goes on from an early one
    assert places(pieces(ROW, 1)) == [(0, 2, 0), (2, 8, 2)]


def test_rows_with_two_roots_are_left_whole() -> None:
    row = Row(((1, 2), (3,), (4, 5), (6,)), (-1, 0, -1, 2), (1, 3))
    assert places(pieces(row, 1)) == [(0, 6, 0)]


@given(st.lists(st.tuples(st.integers(-1, 9), st.integers(1, 4)), min_size=1, max_size=8), st.integers(1, 12))
@settings(max_examples=300, deadline=None)
def test_pieces_let_each_token_see_what_the_row_says(segments: list[tuple[int, int]], size: int) -> None:
    parents = [-1] + [min(parent, s) for s, (parent, _) in enumerate(segments[1:])]  # of any shape, some with two roots
    row = Row(tuple(tuple(range(n)) for _, n in segments), tuple(parents), ())
    found = pieces(row, size)
    assert [piece.start for piece in found] == [0, *(piece.stop for piece in found[:-1])]
    assert found[-1].stop == len(row)
    assert torch.equal(seen_through(found, len(row)), row.mask())
