"""Rows with branches: one prefix, several continuations, each token computed once.

Preference data repeats itself: K replies to one prompt hold the prompt K times, and K(K-1) times in
pair form. A ``Row`` holds it once: a tree of token segments laid end to end, each segment with
positions that continue its parent's, and a mask under which a token sees its ancestors and itself but
never a sister. A plain sequence is a row with one segment. (design: "The core primitive")

Nothing here knows text or models: ids in, index arithmetic and tensors out. Masks: True = counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int
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
        starts, at = [], 0
        for tokens in self.segments:
            starts.append(at)
            at += len(tokens)
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

    def alone(self, reply: int) -> "Row":
        """Reply number ``reply`` as a row of its own: what the branch means without its sisters."""
        *prefix, own = self.lineage(self.replies[reply])
        return Row.of([t for s in prefix for t in self.segments[s]], self.segments[own])

    def mask(self) -> Bool[Tensor, "token token"]:
        """``mask[i, j]``: token i sees token j."""
        n = len(self)
        seen = torch.zeros(n, n, dtype=torch.bool)
        for s, tokens in enumerate(self.segments):
            start, stop = self.starts[s], self.starts[s] + len(tokens)
            seen[start:stop, start:stop] = torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril()
            for ancestor in self.lineage(s)[:-1]:
                first = self.starts[ancestor]
                seen[start:stop, first : first + len(self.segments[ancestor])] = True
        return seen


@dataclass(frozen=True)
class RowBatch:
    """Rows padded to one length, with the index of everything a loss needs.

    Reply tokens are flattened over the batch, replies in order: row 0 reply 0, row 0 reply 1 ...
    ``read_at`` and ``predict_at`` index the flattened [row * token] axis of the hidden states.
    """

    ids: Int[Tensor, "row token"]
    positions: Int[Tensor, "row token"]
    mask: Bool[Tensor, "row 1 token token"]
    """Who sees whom; padding sees only itself, so that no softmax is over nothing."""
    read_at: Int[Tensor, " reply"]
    """Where each reply's score is read: its last token."""
    predict_at: Int[Tensor, " item"]
    """For each reply token, where the hidden state lies that predicts it."""
    targets: Int[Tensor, " item"]
    """The reply tokens themselves."""
    reply_of: Int[Tensor, " item"]
    """Which reply each reply token belongs to."""
    n_tokens: int
    """Real tokens, padding not counted."""

    @property
    def n_replies(self) -> int:
        """Replies in the batch."""
        return len(self.read_at)

    @property
    def n_padded(self) -> int:
        """Tokens the model runs over, padding included."""
        return self.ids.numel()

    def to(self, device: torch.device | str) -> "RowBatch":
        """The same batch on another device."""
        moved = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)  # type: ignore[arg-type]  # mypy does not see which keys are there


def collate(rows: Sequence[Row], *, pad_id: int) -> RowBatch:
    """Lay rows of any shape into one batch.

    ``pad_id`` may equal any other token: nothing downstream looks for it.

    Raises:
        DataError: no rows.
    """
    if not rows:
        raise DataError("cannot collate zero rows")
    longest = max(len(row) for row in rows)
    ids = torch.full((len(rows), longest), pad_id)
    positions = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.eye(longest, dtype=torch.bool).repeat(len(rows), 1, 1)
    read_at: list[int] = []
    predict_at: list[int] = []
    targets: list[int] = []
    reply_of: list[int] = []
    for r, row in enumerate(rows):
        n, base = len(row), r * longest
        ids[r, :n] = torch.tensor([t for tokens in row.segments for t in tokens])
        positions[r, :n] = torch.tensor(
            [d + i for d, s in zip(row.depths, row.segments, strict=True) for i in range(len(s))]
        )
        mask[r, :n, :n] = row.mask()
        for s in row.replies:
            start, parent = row.starts[s], row.parents[s]
            before = row.starts[parent] + len(row.segments[parent]) - 1
            predict_at += [base + before, *range(base + start, base + start + len(row.segments[s]) - 1)]
            targets += row.segments[s]
            reply_of += [len(read_at)] * len(row.segments[s])
            read_at.append(base + start + len(row.segments[s]) - 1)
    return RowBatch(
        ids=ids,
        positions=positions,
        mask=mask[:, None],
        read_at=torch.tensor(read_at, dtype=torch.long),
        predict_at=torch.tensor(predict_at, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
        reply_of=torch.tensor(reply_of, dtype=torch.long),
        n_tokens=sum(len(row) for row in rows),
    )


def batches_by_length(lengths: Sequence[int], *, max_tokens: int, max_rows: int | None = None) -> Iterator[list[int]]:
    """Indices grouped so that rows of similar length share a batch, longest first.

    Longest first means that a batch too large for memory fails at once and not after an hour.

    Args:
        lengths     tokens per row.
        max_tokens  padded tokens a batch may hold; a row longer than that is a batch of its own.
        max_rows    rows a batch may hold.
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        full = batch and (lengths[batch[0]] * (len(batch) + 1) > max_tokens or len(batch) == max_rows)
        if full:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
