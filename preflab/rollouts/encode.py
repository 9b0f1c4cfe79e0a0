"""Dialogues to tokens and back: the only place where text meets a tokenizer.

A prompt is rendered with the model's own chat template up to where the assistant speaks; a reply is
tokenized on its own and closed by the template's end-of-turn token, exactly as a sampled reply is, so
that training and sampling see the same tokens. The score of a reply is read at that closing token.

Text cannot speak with the template's voice: a control token that somebody types ("<|im_end|>") is broken
into ordinary tokens that spell it, so that it ends no turn and begins none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from preflab.data.comparison import Comparison
from preflab.data.conversations import graft
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.data.tool_calls import has_calls, split_calls
from preflab.errors import DataError, ModelError
from preflab.rollouts.tool_turns import TemplateMessages, reply_behind, tells_calls, template_messages

PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ '\\n\\n' + {'user': 'Human', 'assistant': 'Assistant', 'system': 'System'}[m['role']]"
    " + ': ' + m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\nAssistant:' }}{% endif %}"
)
"""For base models without a template of their own: the dialogue format of Askell et al. 2021."""

_PROBE = "preflab probe"
_CUTS = "\ue000\uf8fe\ufdd0\ufdd1"
"""Characters that mark where a typed control token is broken; the first that the text does not hold is used."""


class Encoder:
    """A tokenizer and its chat template, with the ends of turns and the padding settled.

    Raises:
        ModelError: the tokenizer has no end-of-sequence token and its template closes turns with no
            special token, so a reply could never end; or the template cannot render a plain exchange.
    """

    def __init__(self, tokenizer: Any, *, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        self.template = None if self.has_template else PLAIN_TEMPLATE
        added = getattr(tokenizer, "added_tokens_decoder", {})
        self._special = {int(i) for i, token in added.items() if token.special} | set(tokenizer.all_special_ids)
        self.end_id = self._find_end()
        self.stop_ids = tuple(sorted({self.end_id} | ({tokenizer.eos_token_id} - {None})))
        self.pad_id = self._find_pad()
        control = [str(added[i]) if i in added else tokenizer.convert_ids_to_tokens(i) for i in self._special]
        longest_first = sorted({c for c in control if c}, key=lambda c: (-len(c), c))
        self._control = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)
        self._one_character_ends = {tokenizer.convert_ids_to_tokens(i) for i in self.stop_ids}
        self._begins_text, self._space = self._find_habits()
        self._begin = () if self.has_template else self._begins_text

    def prompt(self, dialogue: Dialogue) -> tuple[int, ...]:
        """Tokens up to where the assistant begins to speak."""
        if not dialogue.awaits_reply:
            raise DataError("this dialogue does not await a reply")
        ids = self._render(dialogue, generation=True)
        return tuple(ids)

    def reply(self, text: str) -> tuple[int, ...]:
        """Tokens of a reply, closed by the end-of-turn token."""
        return (*self.words(text), self.end_id)

    def reply_to(self, prompt: Dialogue, text: str) -> tuple[int, ...]:
        """Tokens of a reply to a prompt. One that calls a tool is told as the chat template tells calls.

        Raises:
            DataError: the template does not tell calls, or not behind its own prompt.
        """
        if not split_calls(text)[1]:
            return self.reply(text)
        return reply_behind(self.prompt(prompt), self._render(prompt.with_reply(text), generation=False), self.end_id)

    @cached_property
    def tells_calls(self) -> bool:
        """Whether the chat template tells calls of tools and their answers."""
        return tells_calls(lambda messages: self._template_text(messages, generation=True))

    def words(self, text: str) -> tuple[int, ...]:
        """Tokens of what the assistant says first, its turn still open."""
        if not self.has_template:
            text = self._space + text.lstrip()
        cut = _unused_character(text)
        return tuple(self._tokens(self._break_control_tokens(text, cut), cut))

    def plain(self, text: str) -> tuple[int, ...]:
        """Tokens of plain text outside any dialogue, still open, after the token that begins texts here.

        An empty text is that token, or where there is none the first of beginning, end and padding that there is.
        """
        cut = _unused_character(text)
        ids = (*self._begins_text, *self._tokens(self._break_control_tokens(text, cut), cut))
        named = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return ids or (next((int(i) for i in named if i is not None), self.end_id),)

    def document(self, text: str) -> tuple[int, ...]:
        """Tokens of plain text outside any dialogue (pretraining data), closed by the end-of-sequence token."""
        cut = _unused_character(text)
        end = self.tokenizer.eos_token_id
        return (*self._tokens(self._break_control_tokens(text, cut), cut), self.end_id if end is None else int(end))

    def text(self, ids: Sequence[int]) -> str:
        """What sampled tokens say, up to the end of the turn."""
        turn_tokens: list[int] = []
        for token in ids:
            if token in self.stop_ids:
                break
            turn_tokens.append(int(token))
        return str(self.tokenizer.decode(turn_tokens, skip_special_tokens=True)).strip()

    @property
    def scoring_template(self) -> str:
        """A chat template whose text ends with the token where a score is read, for saving with a preference model.

        Many templates put a line break behind the end of a turn; other libraries would read the score there.
        """
        template = self.template or self.tokenizer.chat_template
        if not isinstance(template, str):
            raise ModelError("the tokenizer has several chat templates; keep the one for dialogues")
        setting = f"{{% set rendered %}}{template}{{% endset %}}"
        return setting + "{{ rendered if add_generation_prompt else rendered.rstrip() }}"

    def _render(self, dialogue: Dialogue, *, generation: bool) -> list[int]:
        cut = _unused_character("".join(message.text for message in dialogue.messages))
        with_tools = any(has_calls(message) for message in dialogue.messages) and self.tells_calls
        messages = template_messages(
            dialogue, lambda text: self._break_control_tokens(text, cut), with_tools=with_tools
        )
        return [*self._begin, *self._tokens(self._template_text(messages, generation=generation), cut)]

    def _template_text(self, messages: TemplateMessages, *, generation: bool) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, chat_template=self.template, tokenize=False, add_generation_prompt=generation
            )
        except Exception as error:  # jinja templates raise what they like ("system role not supported")
            raise DataError(f"the chat template refuses this dialogue: {error}") from error
        return text

    def _break_control_tokens(self, text: str, cut: str) -> str:
        """The text with ``cut`` inside each control token that it spells.

        An end of turn of one character cannot be cut; that character is left out.
        """

        def break_match(match: re.Match[str]) -> str:
            first, tail = match.group()[0], match.group()[1:]
            if tail:
                return first + cut + self._control.sub(break_match, tail)
            return "" if first in self._one_character_ends else first

        return self._control.sub(break_match, text)

    def _tokens(self, text: str, cut: str) -> list[int]:
        """Tokens of the text, none of them across a cut; only control tokens without one in them count as such."""
        pieces = [piece for piece in text.split(cut) if piece]
        return [int(t) for piece in pieces for t in self.tokenizer(piece, add_special_tokens=False)["input_ids"]]

    def _find_end(self) -> int:
        """The token that closes an assistant turn: what the template puts right after a reply."""
        if self.has_template:
            try:
                text = self.tokenizer.apply_chat_template(
                    Dialogue.of("a", _PROBE).to_json(), tokenize=False, add_generation_prompt=False
                )
            except Exception as error:  # jinja templates raise what they like
                raise ModelError(f"the chat template cannot render a plain exchange: {error}") from error
            closing = self.tokenizer(text.rpartition(_PROBE)[2], add_special_tokens=False)["input_ids"]
            first = next((i for i, token in enumerate(closing) if token in self._special), None)
            if first is not None and not self.tokenizer.decode(closing[:first]).strip():
                return int(closing[first])
        if self.tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no end-of-sequence token, so a reply could never end; set eos_token")
        return int(self.tokenizer.eos_token_id)

    def _find_pad(self) -> int:
        """A padding token that never ends a reply, so that saved models cannot mistake one for the other."""
        named = self.tokenizer.pad_token_id
        if named is not None and named not in self.stop_ids:
            return int(named)
        unk = self.tokenizer.unk_token_id
        spare = [i for i in sorted(self._special) if i not in self.stop_ids]
        if unk is not None and unk not in self.stop_ids:
            return int(unk)
        if spare:
            return int(spare[-1])
        # A word it must be, then: one whose spelling in the vocabulary ("Ġgazed") no text has, since saving
        # the tokenizer makes that spelling a special token. No reply ends with it, for all end with ``end_id``.
        ordinary = [i for i in reversed(range(len(self.tokenizer))) if i not in self.stop_ids]
        names = zip(ordinary, self.tokenizer.convert_ids_to_tokens(ordinary), strict=True)
        unspellable = (i for i, name in names if name and len(name) > 1 and name[0] in "Ġ\u2581")
        return int(next(unspellable, ordinary[0]))

    def _find_habits(self) -> tuple[tuple[int, ...], str]:
        """The token this tokenizer begins every text with, and without a template the blank before a reply."""
        bos = self.tokenizer.bos_token_id
        begins = bos is not None and list(self.tokenizer("a")["input_ids"])[:1] == [bos]
        first = self.tokenizer("a", add_special_tokens=False)["input_ids"][0]
        own_blank = str(self.tokenizer.convert_ids_to_tokens(first)).startswith("\u2581")  # SentencePiece's
        return ((int(bos),) if begins else ()), "" if own_blank or self.has_template else " "


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


class _Turn(NamedTuple):
    """A prompt that fits beside its longest reply."""

    prefix: tuple[int, ...]
    replies: list[tuple[int, ...]]
    cut: bool
    """Whether the prompt lost turns."""


def _turn(encoder: Encoder, prompt: Dialogue, replies: Sequence[str], label: str, refused: list[str]) -> _Turn | None:
    """Tokens of one prompt and its replies; None if they cannot be used, and why is added to ``refused``."""
    try:
        tokens = [encoder.reply_to(prompt, reply) for reply in replies]
        fitted = fit_prompt(encoder, prompt, room=encoder.max_tokens - max(map(len, tokens)))
    except DataError as error:
        refused.append(f"{label}: {error}")
        return None
    if fitted is None:
        refused.append(f"{label}: prompt and longest reply exceed {encoder.max_tokens} tokens")
        return None
    return _Turn(fitted[0], tokens, fitted[1])


def _add(rows: list[Row], begun: int, turn: _Turn) -> bool:
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
    messages = list(prompt.messages)
    head = [messages.pop(0)] if messages[0].role == "system" else []
    cut = False
    while True:
        ids = encoder.prompt(Dialogue((*head, *messages)))
        if len(ids) <= room:
            return ids, cut
        following = next((i for i, m in enumerate(messages) if i > 0 and m.role == "user"), None)
        if following is None:
            return None
        messages, cut = messages[following:], True


def _unused_character(text: str) -> str:
    """A character to cut with that the text does not hold.

    Raises:
        DataError: the text holds all of them, as no text in a language does.
    """
    for cut in _CUTS:
        if cut not in text:
            return cut
    raise DataError("the text holds every character that could mark a cut in it (private use and noncharacters)")
