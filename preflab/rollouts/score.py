"""Run a role over many rows without gradients: scores and log-probabilities, in the order given."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from preflab import distributed
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row, batches_by_length, collate
from preflab.errors import DataError
from preflab.models.roles import Role
from preflab.rollouts.encode import fit_turn
from preflab.rollouts.encoder import Encoder

Progress = Callable[[int], None]
"""Called with the number of items just finished."""


@torch.no_grad()
def score_rows(
    role: Role, rows: Sequence[Row], *, max_tokens: int = 4096, progress: Progress | None = None
) -> list[Float[Tensor, " reply"]]:
    """A score in nats for each reply of each row. ``progress`` hears of replies.

    Args:
        max_tokens  tokens per forward pass; changes speed and memory, not results.
    """
    ends = torch.tensor([len(row.replies) for row in rows]).cumsum(0).tolist()
    scores = torch.zeros(ends[-1] if ends else 0)
    for batch in _batches_of_rank(rows, max_tokens):
        batch_scores = role.scores(collate([rows[i] for i in batch or [0]])).cpu()
        at = 0
        for i in batch:
            n = len(rows[i].replies)
            scores[ends[i] - n : ends[i]], at = batch_scores[at : at + n], at + n
        if progress:
            progress(sum(len(rows[i].replies) for i in batch))
    return list(torch.split(distributed.all_reduce_sum(scores), [len(row.replies) for row in rows]))


@torch.no_grad()
def logprob_rows(
    role: Role, rows: Sequence[Row], *, max_tokens: int = 4096, temperature: float = 1.0
) -> list[list[Float[Tensor, " token"]]]:
    """Log-probabilities in nats of every reply token: per row, per reply."""
    sizes = [[len(row.segments[s]) for s in row.replies] for row in rows]
    ends = torch.tensor([sum(reply_sizes) for reply_sizes in sizes]).cumsum(0).tolist()
    logprobs = torch.zeros(ends[-1] if ends else 0)
    for batch in _batches_of_rank(rows, max_tokens):
        batch_logprobs = role.logprobs(collate([rows[i] for i in batch or [0]]), temperature=temperature)[0].cpu()
        at = 0
        for i in batch:
            n = sum(sizes[i])
            logprobs[ends[i] - n : ends[i]], at = batch_logprobs[at : at + n], at + n
    pieces = iter(torch.split(distributed.all_reduce_sum(logprobs), [n for reply_sizes in sizes for n in reply_sizes]))
    return [[next(pieces) for _ in reply_sizes] for reply_sizes in sizes]


def _batches_of_rank(rows: Sequence[Row], max_tokens: int) -> list[list[int]]:
    """This process's share of the batches; an empty one is run all the same (on the first row), to stay in step."""
    lengths = [len(row) for row in rows]
    return distributed.shard_batches(
        list(batches_by_length(lengths, max_tokens=distributed.tokens_per_rank(max_tokens, sum(lengths))))
    )


class PreferenceScorer:
    """A preference model as a ``Scorer``: dialogues in, nats out, higher is better."""

    def __init__(self, role: Role, encoder: Encoder, *, max_tokens: int = 4096) -> None:
        self.role, self.encoder, self.max_tokens = role, encoder, max_tokens

    def __call__(
        self, dialogues: Sequence[Dialogue], *, progress: Progress | None = None
    ) -> Float[Tensor, " dialogue"]:
        """Score the last reply of each dialogue; neighbours with one prompt share its tokens.

        A score does not depend on the neighbours: where a prompt must lose turns, each reply has a row of its own.

        Raises:
            DataError: a dialogue is too long for the model, or its chat template refuses one.
        """
        rows: list[Row] = []
        for prompt, group in groupby(dialogues, key=lambda d: d.prompt):
            replies = [dialogue.reply for dialogue in group]
            turn = fit_turn(self.encoder, prompt, replies)
            if turn is not None and not turn.cut:
                rows += _rows_within(self.max_tokens, turn.prefix, turn.replies)
                continue
            for reply in replies:
                turn = fit_turn(self.encoder, prompt, [reply])
                if turn is None:
                    raise DataError(
                        f"a dialogue exceeds {self.encoder.max_tokens} tokens: {prompt.messages[-1].text!r:.80}"
                    )
                rows.append(Row.of(turn.prefix, *turn.replies))
        scores = score_rows(
            self.role,
            rows,
            max_tokens=self.max_tokens,
            progress=progress,
        )
        return torch.cat(scores) if scores else torch.empty(0)


def _rows_within(max_tokens: int, prefix: tuple[int, ...], replies: Sequence[tuple[int, ...]]) -> Iterator[Row]:
    """Rows of at most ``max_tokens`` that share out the replies in order: attention grows with a row's square."""
    row_replies: list[tuple[int, ...]] = []
    size = len(prefix)
    for reply in replies:
        if row_replies and size + len(reply) > max_tokens:
            yield Row.of(prefix, *row_replies)
            row_replies, size = [], len(prefix)
        row_replies.append(reply)
        size += len(reply)
    yield Row.of(prefix, *row_replies)
