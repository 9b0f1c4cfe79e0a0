"""Rows with branches: one prefix, several continuations, each token computed once.

Preference data repeats itself: K replies to one prompt hold the prompt K times, and K(K-1) times in
pair form. A ``Row`` holds it once: a tree of token segments laid end to end, each segment with
positions that continue its parent's, and a mask under which a token sees its ancestors and itself but
never a sister. A plain sequence is a row with one segment. (design: "The core primitive")

Nothing here knows text or models: ids in, index arithmetic and tensors out. Masks: True = counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from preflab.errors import DataError


@dataclass(frozen=True)
class Row:
    """A tree of segments. ``parents[s]`` is the segment that segment ``s`` continues, -1 for a root.

    ``replies`` names the segments that are judged or trained on: reply k of the row is segment
    ``replies[k]``, its score is read at the segment's last token, and nowhere else.
    """

    segments: tuple[tuple[int, ...], ...]
    parents: tuple[int, ...]
    replies: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.segments) != len(self.parents):
            raise DataError(f"{len(self.segments)} segments but {len(self.parents)} parents")
        for s, (tokens, parent) in enumerate(zip(self.segments, self.parents, strict=True)):
            if not tokens:
                raise DataError(f"segment {s} of a row is empty")
            if not -1 <= parent < s:
                raise DataError(f"segment {s} continues segment {parent}; a parent must come before its child")
        for s in self.replies:
            if not 0 <= s < len(self.segments) or self.parents[s] < 0:
                raise DataError(f"reply segment {s} needs a prefix: it has no parent segment")

    @classmethod
    def of(cls, prefix: Sequence[int], *replies: Sequence[int]) -> "Row":
        """One prefix and its replies: the usual row."""
        k = len(replies)
        return cls(
            segments=(tuple(prefix), *(tuple(r) for r in replies)),
            parents=(-1, *[0] * k),
            replies=tuple(range(1, k + 1)),
        )

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Index in the row of each segment's first token."""
        starts, row_length = [], 0
        for tokens in self.segments:
            starts.append(row_length)
            row_length += len(tokens)
        return tuple(starts)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Position (distance from the root) of each segment's first token."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent < 0 else depths[parent] + len(self.segments[parent]))
        return tuple(depths)

    def __len__(self) -> int:
        """Tokens in the row: what it costs."""
        return sum(len(tokens) for tokens in self.segments)

    @property
    def path_tokens(self) -> int:
        """Tokens the replies would cost run one by one, each with its whole prefix."""
        return sum(self.depths[s] + len(self.segments[s]) for s in self.replies)

    def lineage(self, segment: int) -> list[int]:
        """The segment and its ancestors, root first."""
        line = []
        while segment >= 0:
            line.append(segment)
            segment = self.parents[segment]
        return line[::-1]

    def isolate(self, reply: int) -> "Row":
        """Reply number ``reply`` as a row of its own: what the branch means without its sisters."""
        *ancestors, branch = self.lineage(self.replies[reply])
        return Row.of([t for s in ancestors for t in self.segments[s]], self.segments[branch])

    @cached_property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Of each segment, numbered depth first: its own number, and one past the last of its descendants.

        Segment a is b or an ancestor of b just when ``spans[a][0] <= spans[b][0] < spans[a][1]``.
        """
        size = [1] * len(self.segments)
        for s in reversed(range(len(self.segments))):
            if self.parents[s] >= 0:
                size[self.parents[s]] += size[s]
        spans: list[tuple[int, int]] = []
        free, root = [0] * len(self.segments), 0  # the next number below each segment; below none
        for s, parent in enumerate(self.parents):
            number = root if parent < 0 else free[parent]
            if parent < 0:
                root += size[s]
            else:
                free[parent] += size[s]
            free[s] = number + 1
            spans.append((number, number + size[s]))
        return tuple(spans)

    def mask(self) -> Bool[Tensor, "token token"]:
        """``mask[i, j]``: token i sees token j, which lies before it and on its way to the root."""
        start, end = _token_spans([self])
        in_subtree = (start[None, :] <= start[:, None]) & (start[:, None] < end[None, :])
        return in_subtree.tril()


def _token_spans(rows: Sequence[Row]) -> tuple[Int[Tensor, " token"], Int[Tensor, " token"]]:
    """Spans of the segments of all rows, numbered on from row to row, one a token."""
    subtree_start: list[int] = []
    subtree_end: list[int] = []
    first = 0
    for row in rows:
        for tokens, (start, end) in zip(row.segments, row.spans, strict=True):
            subtree_start += [first + start] * len(tokens)
            subtree_end += [first + end] * len(tokens)
        first += len(row.segments)
    return torch.tensor(subtree_start), torch.tensor(subtree_end)


@dataclass(frozen=True)
class RowBatch:
    """Rows laid end to end in one sequence without padding, with the index of everything a loss needs.

    Reply tokens are flattened over the batch, replies in order: row 0 reply 0, row 0 reply 1 ...
    ``read_at`` and ``predict_at`` index the token axis.
    """

    ids: Int[Tensor, "1 token"]
    positions: Int[Tensor, "1 token"]
    """Distance of each token from its root."""
    subtree_start: Int[Tensor, " token"]
    """Number of each token's segment (`Row.spans`), counted on from row to row, so that no row sees another."""
    subtree_end: Int[Tensor, " token"]
    """One past the number of that segment's last descendant."""
    lengths: tuple[int, ...]
    """Tokens of each row."""
    read_at: Int[Tensor, " reply"]
    """Where each reply's score is read: its last token."""
    predict_at: Int[Tensor, " item"]
    """For each reply token, where the hidden state lies that predicts it."""
    targets: Int[Tensor, " item"]
    """The reply tokens themselves."""
    reply_of: Int[Tensor, " item"]
    """Which reply each reply token belongs to."""

    @property
    def n_tokens(self) -> int:
        """Tokens the model runs over, each prefix once."""
        return self.ids.numel()

    @property
    def n_replies(self) -> int:
        """Replies in the batch."""
        return len(self.read_at)

    def sum_per_reply(self, values: Float[Tensor, " item"]) -> Float[Tensor, " reply"]:
        """Sum over each reply of a number that each of its tokens has."""
        return values.new_zeros(self.n_replies).index_add(0, self.reply_of.to(values.device), values)


def collate(rows: Sequence[Row]) -> RowBatch:
    """Lay rows of any shape into one batch.

    Raises:
        DataError: no rows.
    """
    if not rows:
        raise DataError("cannot collate zero rows")
    ids: list[int] = []
    positions: list[int] = []
    read_at: list[int] = []
    predict_at: list[int] = []
    targets: list[int] = []
    reply_of: list[int] = []
    for row in rows:
        base = len(ids)
        for depth, tokens in zip(row.depths, row.segments, strict=True):
            ids += tokens
            positions += range(depth, depth + len(tokens))
        for s in row.replies:
            start, parent, n = base + row.starts[s], row.parents[s], len(row.segments[s])
            before = base + row.starts[parent] + len(row.segments[parent]) - 1
            predict_at += [before, *range(start, start + n - 1)]
            targets += row.segments[s]
            reply_of += [len(read_at)] * n
            read_at.append(start + n - 1)
    subtree_start, subtree_end = _token_spans(rows)
    return RowBatch(
        ids=torch.tensor([ids]),
        positions=torch.tensor([positions]),
        subtree_start=subtree_start,
        subtree_end=subtree_end,
        lengths=tuple(len(row) for row in rows),
        read_at=torch.tensor(read_at, dtype=torch.long),
        predict_at=torch.tensor(predict_at, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
        reply_of=torch.tensor(reply_of, dtype=torch.long),
    )


def batches_by_length(lengths: Sequence[int], *, max_tokens: int, max_rows: int | None = None) -> Iterator[list[int]]:
    """Indices grouped into batches that fit, longest rows first.

    Longest first means that a row too large for memory fails at once and not after an hour.

    Args:
        lengths     tokens per row.
        max_tokens  tokens a batch may hold; a row longer than that is a batch of its own.
        max_rows    rows a batch may hold.
    """
    batch: list[int] = []
    size = 0
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (size + lengths[i] > max_tokens or len(batch) == max_rows):
            yield batch
            batch, size = [], 0
        batch.append(i)
        size += lengths[i]
    if batch:
        yield batch
