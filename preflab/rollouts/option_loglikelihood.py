"""Log-probabilities of given continuations: one prefix, a branch each, and prefixes that items share held once.

Few-shot questions of one subject share their exemplars, questions of one passage the passage; all of it is computed
once a row. Token ids are those of lm-evaluation-harness (prefix and continuation tokenized together, the blank before
a continuation part of it), so log-probabilities are equal to its own to float error.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.models.roles import Role
from preflab.rollouts.encode import fit_prompt
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.score import logprob_rows

ROW_TOKENS = 2048
"""Items share a row up to this size: 24 five-shot questions of two subjects took a third longer at 1024 (3,281 tokens
for 2,398), and no less time at 4096."""
_WORTH_SHARING = 16
"""Tokens that sharing must save."""


@dataclass(frozen=True, slots=True)
class Continuations:
    """Token sequences that share a beginning."""

    prefix: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...]
    """What follows the prefix, for each continuation; never empty."""
    scored: tuple[int, ...]
    """How many tokens at the end of each branch are the continuation itself."""
    shortened: bool = False
    """Whether the prompt lost its beginning to fit."""


def encode_continuations(
    encoder: Encoder, prompt: Dialogue | str, lead: str, options: Sequence[str], *, closed: bool = False
) -> Continuations | None:
    """Continuations of a prompt and the words that the assistant is made to begin with.

    Args:
        prompt   a dialogue that awaits a reply, or plain text.
        lead     begins the reply; of a plain text it is a part. A blank at its end goes to the options.
        options  at least one, none empty.
        closed   each option is a whole reply, closed by the end-of-turn token.

    Returns:
        None where not even the last turn (of a dialogue) fits, or an option adds no token of its own.
    """
    text = prompt + lead if isinstance(prompt, str) else lead
    context = text.rstrip(" ")
    blank = text[len(context) :]
    before: tuple[int, ...] = ()
    if isinstance(prompt, str):
        context_tokens = encoder.plain(context)
        sequences = [encoder.plain(f"{context}{blank}{option}") for option in options]
        sequences = [
            sequence if context else context_tokens + _without_start(sequence, context_tokens) for sequence in sequences
        ]
        eos_id = encoder.tokenizer.eos_token_id
        end = (encoder.end_id if eos_id is None else int(eos_id),)
    else:
        context_tokens = encoder.words(context) if context else ()
        texts = (f"{context}{blank}{option}" for option in options)
        sequences = [
            encoder.words(text_of_option if context else text_of_option.lstrip(" ")) for text_of_option in texts
        ]
        end = (encoder.end_id,)
    sequences = [sequence + end for sequence in sequences] if closed else sequences
    scored = tuple(len(sequence) - len(context_tokens) for sequence in sequences)
    if min(scored) < 1:
        return None
    room, cut = encoder.max_tokens - max(map(len, sequences)), False
    if isinstance(prompt, Dialogue):
        fitted = fit_prompt(encoder, prompt, room=room)
        if fitted is None:
            return None
        before, cut = fitted
    elif room < 0:
        cut = True
        sequences = [
            sequence[-room:] if len(sequence) - n > -room else () for sequence, n in zip(sequences, scored, strict=True)
        ]
        if any(len(sequence) <= n for sequence, n in zip(sequences, scored, strict=True)):
            return None
    sequences = [before + sequence for sequence in sequences]
    shared = min(len(sequence) - n for sequence, n in zip(sequences, scored, strict=True))
    while len({sequence[:shared] for sequence in sequences}) > 1:
        shared -= 1
    if shared < 1:
        return None
    return Continuations(sequences[0][:shared], tuple(sequence[shared:] for sequence in sequences), scored, cut)


def _without_start(sequence: tuple[int, ...], context_tokens: tuple[int, ...]) -> tuple[int, ...]:
    return sequence[len(context_tokens) :] if sequence[: len(context_tokens)] == context_tokens else sequence


def share_prefixes(
    items: Sequence[Continuations], *, row_tokens: int = ROW_TOKENS
) -> Iterator[tuple[Row, list[tuple[int, int]]]]:
    """Rows that hold all branches of all items, each shared prefix once.

    Returns:
        each row, and for each of its replies the item and the branch that it is.
    """
    order = sorted(range(len(items)), key=lambda i: items[i].prefix)
    group, root, size = list[int](), tuple[int, ...](), 0
    for i in order:
        prefix, branch_tokens = items[i].prefix, sum(map(len, items[i].branches))
        if group:
            common = _common(root, prefix)
            grown = size + (len(group) - 1) * (len(root) - common) + len(prefix) - common + branch_tokens
            saves = common - (len(group) - 1) * (len(root) - common) >= _WORTH_SHARING
            if saves and grown <= row_tokens:
                group.append(i)
                root, size = root[:common], grown
                continue
            yield _row(items, group, root)
        group, root, size = [i], prefix, len(prefix) + branch_tokens
    if group:
        yield _row(items, group, root)


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Tokens that two sequences begin with alike."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle - 1)
    return low


def _row(items: Sequence[Continuations], group: list[int], root: tuple[int, ...]) -> tuple[Row, list[tuple[int, int]]]:
    segments, parents, replies, owners = [root], [-1], list[int](), list[tuple[int, int]]()
    for i in group:
        at = 0
        if remainder := items[i].prefix[len(root) :]:
            segments.append(remainder)
            parents.append(0)
            at = len(segments) - 1
        for b, branch in enumerate(items[i].branches):
            segments.append(branch)
            parents.append(at)
            replies.append(len(segments) - 1)
            owners.append((i, b))
    return Row(tuple(segments), tuple(parents), tuple(replies)), owners


def score_continuations(
    role: Role, items: Sequence[Continuations], *, max_tokens: int = 4096, row_tokens: int = ROW_TOKENS
) -> list[tuple[float, ...]]:
    """Log-probability in nats of each continuation of each item, summed over its tokens."""
    rows, owners = [], []
    for row, branches in share_prefixes(items, row_tokens=row_tokens):
        rows.append(row)
        owners.append(branches)
    totals = [[0.0] * len(item.branches) for item in items]
    for branches, logprobs in zip(owners, logprob_rows(role, rows, max_tokens=max_tokens), strict=True):
        for (i, b), tokens in zip(branches, logprobs, strict=True):
            totals[i][b] = float(tokens[len(tokens) - items[i].scored[b] :].double().sum())
    return [tuple(item_totals) for item_totals in totals]
