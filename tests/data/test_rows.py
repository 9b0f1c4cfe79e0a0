"""Rows against positions and masks worked out by hand, a brute-force ancestor rule, and their branches alone."""

from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.rows import Row, batches_by_length, collate
from preflab.errors import DataError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Role, Trunk

STORIES = Path(__file__).parents[3] / "shared/data/models/stories260k"

#        segment 0   1 (of 0)  2 (of 0)  3 (of 1)   4 (of 1)
TREE = Row(((10, 11), (12, 13), (14,), (15, 16), (17,)), (-1, 0, 0, 1, 1), (2, 3, 4))


Tree = tuple[tuple[tuple[int, ...], ...], tuple[int, ...], tuple[int, ...]]
"""What a row is made of. (The row itself is made in the test: beartype draws random numbers, strategies may not.)"""


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """One root and up to six segments, each continuing any that came before it; at least one is a reply."""
    n = draw(st.integers(2, 7))
    parents = (-1, *(draw(st.integers(0, s - 1)) for s in range(1, n)))
    segments = tuple(tuple(draw(st.lists(st.integers(3, 250), min_size=1, max_size=4))) for _ in range(n))
    replies = draw(st.lists(st.integers(1, n - 1), min_size=1, max_size=n - 1, unique=True))
    return segments, parents, tuple(replies)


@cache
def role(name: str) -> Role:
    """An adapter that is not zero, with a head."""
    found = Trunk(load_language_model(name, precision="fp32"), AdapterConfig(rank=2, alpha=4.0)).add_role(
        "r", head=True
    )
    generator = torch.Generator().manual_seed(0)
    found.load_state({k: 0.1 * torch.randn(w.shape, generator=generator) for k, w in found.state().items()})
    return found


# by hand -------------------------------------------------------------------------------------------------


def test_a_tree_worked_out_by_hand() -> None:
    assert len(TREE) == 8
    assert TREE.starts == (0, 2, 4, 5, 7)
    assert TREE.depths == (0, 2, 2, 4, 4)  # segments 3 and 4 continue 0 (2 tokens) and 1 (2 tokens)
    assert TREE.lineage(3) == [0, 1, 3]
    assert TREE.isolate(1) == Row.of([10, 11, 12, 13], [15, 16])
    assert TREE.path_tokens == 3 + 6 + 5
    expected = [
        [1, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 1, 0, 0, 0],  # segment 2 sees the root and itself
        [1, 1, 1, 1, 0, 1, 0, 0],  # segment 3 sees 0, 1 and itself
        [1, 1, 1, 1, 0, 1, 1, 0],
        [1, 1, 1, 1, 0, 0, 0, 1],  # segment 4 sees 0, 1 and itself, not its sister 3
    ]
    assert TREE.mask().int().tolist() == expected


def test_a_batch_worked_out_by_hand() -> None:
    batch = collate([Row.of([5], [6, 7]), TREE])
    assert batch.ids.tolist() == [[5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 2, 3, 2, 4, 5, 4]]
    # row 0 begins at 0, row 1 at 3; scores: last token of [6, 7], of [14], of [15, 16], of [17]
    assert batch.read_at.tolist() == [2, 3 + 4, 3 + 6, 3 + 7]
    assert batch.targets.tolist() == [6, 7, 14, 15, 16, 17]
    # 6 is predicted by 5, 7 by 6; 14 by 11, 15 by 13, 16 by 15, 17 by 13
    assert batch.predict_at.tolist() == [0, 1, 3 + 1, 3 + 3, 3 + 5, 3 + 3]
    assert batch.reply_of.tolist() == [0, 0, 1, 2, 2, 3]
    assert (batch.n_tokens, batch.lengths, batch.n_replies) == (11, (3, 8), 4)


def test_segments_are_numbered_depth_first_and_on_from_row_to_row() -> None:
    # TREE depth first: 0, 1 with its children 3 and 4, then 2
    assert TREE.spans == ((0, 5), (1, 4), (4, 5), (2, 3), (3, 4))
    batch = collate([Row.of([5], [6, 7]), TREE])
    assert batch.subtree_start.tolist() == [0, 1, 1, 2, 2, 3, 3, 6, 4, 4, 5]
    assert batch.subtree_end.tolist() == [2, 2, 2, 7, 7, 6, 6, 7, 5, 5, 6]


def test_a_row_may_hold_several_trees_that_do_not_see_each_other() -> None:
    forest = Row(((1, 2), (3,), (4,), (5, 6)), (-1, 0, -1, 2), (1, 3))
    assert forest.spans == ((0, 2), (1, 2), (2, 4), (3, 4))
    assert forest.mask().int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 1, 0, 0],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 1, 1, 1],
    ]


@pytest.mark.parametrize(
    ("segments", "parents", "replies", "message"),
    [
        (((1,),), (-1, 0), (), "1 segments but 2 parents"),
        (((1,), ()), (-1, 0), (1,), "segment 1 of a row is empty"),
        (((1,), (2,)), (-1, 1), (1,), "must come before"),
        (((1,), (2,)), (-1, -2), (1,), "must come before"),
        (((1,), (2,)), (-1, 0), (0,), "needs a prefix"),
        (((1,), (2,)), (-1, 0), (2,), "needs a prefix"),
    ],
)
def test_what_is_no_tree_is_refused(
    segments: tuple[tuple[int, ...], ...], parents: tuple[int, ...], replies: tuple[int, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Row(segments, parents, replies)


def test_no_rows_make_no_batch() -> None:
    with pytest.raises(DataError, match="zero rows"):
        collate([])


# properties ----------------------------------------------------------------------------------------------


@given(trees())
@settings(max_examples=60, deadline=None)
def test_a_token_sees_itself_and_whatever_lies_on_the_way_to_its_root(tree: Tree) -> None:
    row = Row(*tree)
    owner = [s for s, tokens in enumerate(row.segments) for _ in tokens]

    def ancestors(s: int) -> set[int]:
        return set() if row.parents[s] < 0 else {row.parents[s]} | ancestors(row.parents[s])

    def sees(i: int, j: int) -> bool:
        return owner[j] in ancestors(owner[i]) or (owner[i] == owner[j] and j <= i)

    seen = [[sees(i, j) for j in range(len(row))] for i in range(len(row))]
    assert row.mask().tolist() == seen
    positions = collate([row]).positions[0]
    assert positions.tolist() == [sum(line) - 1 for line in seen]  # as far from the root as tokens are seen


def compare(own: Role, rows: list[Row]) -> None:
    """Every branch of every row against itself run alone."""
    with torch.no_grad():
        batch = collate(rows)
        scores, hidden = own.scores(batch), own.hidden(batch)
        logp, entropy = own.logprobs(batch, temperature=0.7, with_entropy=True)
        assert entropy is not None
        reply = 0
        for row in rows:
            for k in range(len(row.replies)):
                alone = collate([row.isolate(k)])
                mine = batch.reply_of == reply
                alone_logp, alone_entropy = own.logprobs(alone, temperature=0.7, with_entropy=True)
                close = {"rtol": 1e-5, "atol": 1e-5}
                torch.testing.assert_close(scores[reply : reply + 1], own.scores(alone), **close)
                torch.testing.assert_close(logp[mine], alone_logp, **close)
                torch.testing.assert_close(entropy[mine], alone_entropy, **close)
                alone_hidden = own.hidden(alone)
                torch.testing.assert_close(hidden[batch.predict_at[mine]], alone_hidden[alone.predict_at], **close)
                torch.testing.assert_close(hidden[batch.read_at[reply]], alone_hidden[-1], **close)
                reply += 1


@given(st.lists(trees(), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_a_branch_gives_the_numbers_it_gives_alone_whatever_shares_its_row_and_batch(
    rows: list[Tree],
) -> None:
    compare(role("tiny"), [Row(*tree) for tree in rows])


@pytest.mark.skipif(not STORIES.is_dir(), reason="the shared stories260k model is not beside the repository")
@given(st.lists(trees(), min_size=1, max_size=3))
@settings(max_examples=10, deadline=None)
def test_a_trained_model_agrees(rows: list[Tree]) -> None:
    compare(role(str(STORIES)), [Row(*tree) for tree in rows])


@given(trees(), st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_a_longer_neighbour_changes_nothing(tree: Tree, more: int) -> None:
    row = Row(*tree)
    longer = Row.of(range(3, 3 + len(row)), range(3, 4 + more))
    with torch.no_grad():
        alone = role("tiny").scores(collate([row]))
        beside = role("tiny").scores(collate([row, longer]))
    torch.testing.assert_close(beside[:-1], alone, rtol=1e-5, atol=1e-5)


def test_the_score_is_read_at_the_end_token_wherever_else_that_token_stands() -> None:
    """TRL's fault: with pad == eos the last token "that is not padding" is the one before the end."""
    end = 1
    rows = [Row.of([5, end, 6], [7, end], [8, end, 10, end]), Row.of([5], [end])]
    batch = collate(rows)
    assert batch.ids.flatten()[batch.read_at].tolist() == [end, end, end]
    assert batch.read_at.tolist() == [4, 8, 10]
    with torch.no_grad():
        at_end = role("tiny").scores(batch)
        before_end = role("tiny").scores(collate([Row.of([5, end, 6], [7])]))
    assert abs(float(at_end[0] - before_end[0])) > 1e-3


# batches -------------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 40), max_size=30),
    st.integers(1, 100),
    st.one_of(st.none(), st.integers(1, 5)),
)
def test_batches_hold_every_index_once_within_the_limits(lengths: list[int], most: int, rows: int | None) -> None:
    batches = list(batches_by_length(lengths, max_tokens=most, max_rows=rows))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert sum(lengths[i] for i in batch) <= most or len(batch) == 1
        assert rows is None or len(batch) <= rows
    flat = [lengths[i] for batch in batches for i in batch]
    assert flat == sorted(flat, reverse=True)  # longest first


def test_equal_lengths_keep_their_order_and_long_rows_are_alone() -> None:
    # 9 > 6 is alone; 3 + 3 = 6 fits, a third row of 3 does not
    assert list(batches_by_length([3, 9, 3, 3], max_tokens=6)) == [[1], [0, 2], [3]]
