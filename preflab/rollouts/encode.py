"""Dialogues and comparisons as rows of tokens, and an account of what does not fit (see `Encoder` for the tokens)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from preflab.data.comparison import Comparison
from preflab.data.conversations import graft
from preflab.data.dialogue import Dialogue, Message
from preflab.data.rows import Row
from preflab.errors import DataError
from preflab.rollouts.encoder import Encoder


@dataclass(frozen=True)
class Encoded:
    """Comparisons as rows, and an account of what did not fit."""

    rows: list[Row]
    comparisons: list[Comparison]
    shortened: int = 0
    """Prompts that lost their earliest turns to fit."""
    refused: list[str] = field(default_factory=list)
    """Why comparisons were left out: even the last turn did not fit beside a reply, or the template refused it."""

    @property
    def n_tokens(self) -> int:
        """Tokens the rows hold, each prefix once."""
        return sum(len(row) for row in self.rows)


@dataclass(frozen=True)
class EncodedTrees:
    """Judged dialogues as trees: one row each, unless what is said later does not continue what was said before."""

    rows: list[Row]
    comparisons: list[tuple[Comparison, ...]]
    """For each row those whose replies it holds, in their order."""
    shortened: int = 0
    """Turns whose prompt lost its earliest exchanges to fit; they begin a row of their own."""
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class EncodedDialogues:
    """Dialogues as rows to learn the assistant's turns from."""

    rows: list[Row]
    dialogue_of: list[int]
    """For each row the number of its dialogue or prompt; a dialogue too long for one row takes several."""
    shortened: int = 0
    """Turns whose prompt lost its earliest exchanges to fit."""
    refused: list[str] = field(default_factory=list)
    """Why turns were left out."""

    @property
    def n_tokens(self) -> int:
        """Tokens the rows hold, each prefix once."""
        return sum(len(row) for row in self.rows)

    @property
    def reply_tokens(self) -> int:
        """Tokens that are learned from."""
        return sum(len(row.segments[s]) for row in self.rows for s in row.replies)


def encode_comparisons(encoder: Encoder, comparisons: Sequence[Comparison]) -> Encoded:
    """One row a comparison: the prompt once, a branch per reply. Replies are never cut."""
    rows, encoded, refused, shortened = [], [], list[str](), 0
    for n, comparison in enumerate(comparisons):
        label = comparison.provenance.id or f"comparison {n}"
        if (turn := _turn(encoder, comparison.prompt, comparison.replies, label, refused)) is not None:
            shortened += turn.cut
            rows.append(Row.of(turn.prefix, *turn.replies))
            encoded.append(comparison)
    return Encoded(rows, encoded, shortened, refused)


def encode_conversations(encoder: Encoder, conversations: Sequence[Sequence[Comparison]]) -> EncodedTrees:
    """One row a conversation: a dialogue that was judged at several of its turns, in order.

    The prompt of each turn goes on from one of the replies before it; which, its tokens say. Every reply has the
    tokens that `encode_comparisons` would give it. Where the template tells earlier turns otherwise than they were
    said (it leaves out past thoughts, say), or where early turns had to be dropped, the turn begins a new row.
    """
    rows, comparisons_of_rows, refused, shortened = list[Row](), list[tuple[Comparison, ...]](), list[str](), 0
    for n, conversation in enumerate(conversations):
        begun = len(rows)
        for t, comparison in enumerate(conversation):
            label = comparison.provenance.id or f"conversation {n}, turn {t}"
            if (turn := _turn(encoder, comparison.prompt, comparison.replies, label, refused)) is not None:
                shortened += turn.cut
                if _add(rows, begun, turn):
                    comparisons_of_rows.append((comparison,))
                else:
                    comparisons_of_rows[-1] = (*comparisons_of_rows[-1], comparison)
    return EncodedTrees(rows, comparisons_of_rows, shortened, refused)


def encode_replies(encoder: Encoder, prompts: Sequence[tuple[Dialogue, Sequence[str]]]) -> EncodedDialogues:
    """One row a prompt, with its replies as branches, to learn all of them."""
    rows, dialogue_of, refused, shortened = [], [], list[str](), 0
    for n, (prompt, replies) in enumerate(prompts):
        if (turn := _turn(encoder, prompt, replies, f"prompt {n}", refused)) is not None:
            shortened += turn.cut
            rows.append(Row.of(turn.prefix, *turn.replies))
            dialogue_of.append(n)
    return EncodedDialogues(rows, dialogue_of, shortened, refused)


def encode_dialogues(encoder: Encoder, dialogues: Sequence[Dialogue], *, last_only: bool = False) -> EncodedDialogues:
    """One row a dialogue, in which every turn of the assistant counts, or the last one alone.

    Turns that are not to be learned (``Message.learned``) are context; turns without text are left out, and said so.
    A turn that does not continue the tokens before it begins a new row, as in `encode_conversations`.
    """
    rows, dialogue_of, refused, shortened = list[Row](), list[int](), list[str](), 0
    for n, dialogue in enumerate(dialogues):
        begun = len(rows)
        spoken = [i for i, message in enumerate(dialogue.messages) if message.role == "assistant" and message.learned]
        refused += [f"dialogue {n}, message {i}: has no text" for i in spoken if not dialogue.messages[i].text.strip()]
        spoken = [i for i in spoken if dialogue.messages[i].text.strip()]
        if not spoken:
            refused.append(f"dialogue {n}: the assistant says nothing")
        for i in spoken[-1:] if last_only else spoken:
            label = f"dialogue {n}, message {i}"
            if i == 0:
                refused.append(f"{label}: the assistant speaks first, to nobody")
                continue
            prompt, reply = Dialogue(dialogue.messages[:i]), dialogue.messages[i].text
            if (turn := _turn(encoder, prompt, (reply,), label, refused)) is not None:
                shortened += turn.cut
                dialogue_of += [n] * _add(rows, begun, turn)
    return EncodedDialogues(rows, dialogue_of, shortened, refused)


class Turn(NamedTuple):
    """A prompt that fits beside its longest reply."""

    prefix: tuple[int, ...]
    replies: list[tuple[int, ...]]
    cut: bool
    """Whether the prompt lost turns."""


def fit_turn(encoder: Encoder, prompt: Dialogue, replies: Sequence[str]) -> Turn | None:
    """Tokens of a prompt and its replies (`Encoder.turn`), without its earliest exchanges where all is too long.

    Returns:
        None if even the last turn does not fit beside the longest reply.

    Raises:
        DataError: the template refuses the dialogue.
    """
    messages = [Message("assistant", reply) for reply in replies]
    for shortened, cut in _shortenings(prompt):
        prefix, tokens = encoder.turn(shortened, messages)
        if len(prefix) + max(map(len, tokens)) <= encoder.max_tokens:
            return Turn(prefix, tokens, cut)
    return None


def _turn(encoder: Encoder, prompt: Dialogue, replies: Sequence[str], label: str, refused: list[str]) -> Turn | None:
    """Tokens of one prompt and its replies; None if they cannot be used, and why is added to ``refused``."""
    try:
        fitted = fit_turn(encoder, prompt, replies)
    except DataError as error:
        refused.append(f"{label}: {error}")
        return None
    if fitted is None:
        refused.append(f"{label}: prompt and longest reply exceed {encoder.max_tokens} tokens")
    return fitted


def _add(rows: list[Row], begun: int, turn: Turn) -> bool:
    """Grow the last row by a turn if it is of the same dialogue and the turn continues it; True for a new row."""
    grown = graft(rows[-1], turn.prefix, *turn.replies) if len(rows) > begun else None
    if grown is None:
        rows.append(Row.of(turn.prefix, *turn.replies))
        return True
    rows[-1] = grown
    return False


def fit_prompt(encoder: Encoder, prompt: Dialogue, *, room: int) -> tuple[tuple[int, ...], bool] | None:
    """Prompt tokens within ``room``, dropping the earliest exchanges; None if the last turn alone is too long.

    Returns:
        the tokens, and whether turns were dropped.
    """
    for shortened, cut in _shortenings(prompt):
        ids = encoder.prompt(shortened)
        if len(ids) <= room:
            return ids, cut
    return None


def fit_prompts(
    encoder: Encoder, prompts: Sequence[Dialogue], *, room: int
) -> tuple[dict[int, tuple[int, ...]], dict[str, int]]:
    """Tokens of each prompt that fits in ``room`` (`fit_prompt`) and that the chat template does not refuse.

    Returns:
        number of the prompt -> its tokens; and reason -> prompts that were left out for it.
    """
    fitting, refused = dict[int, tuple[int, ...]](), Counter[str]()
    for i, prompt in enumerate(prompts):
        try:
            fitted = fit_prompt(encoder, prompt, room=room)
        except DataError as error:
            refused[str(error)] += 1
            continue
        if fitted is None:
            refused[f"a prompt exceeds {room} tokens"] += 1
        else:
            fitting[i] = fitted[0]
    return fitting, dict(refused)


def count_reasons(refused: Sequence[str]) -> str:
    """Reasons of what was left out, the most common first, each with its count and the first that it befell."""
    reasons = Counter(line.partition(": ")[2] for line in refused)
    first = {line.partition(": ")[2]: line.partition(": ")[0] for line in reversed(refused)}
    return "; ".join(f"{count} x {reason} (first: {first[reason]})" for reason, count in reasons.most_common())


def _shortenings(prompt: Dialogue) -> Iterator[tuple[Dialogue, bool]]:
    """The prompt, then without its earliest exchange, and so on; and whether it lost one. System messages stay."""
    messages = list(prompt.messages)
    head = [messages.pop(0)] if messages[0].role == "system" else []
    cut = False
    while True:
        yield Dialogue((*head, *messages)), cut
        following = next((i for i, m in enumerate(messages) if i > 0 and m.role == "user"), None)
        if following is None:
            return
        messages, cut = messages[following:], True
