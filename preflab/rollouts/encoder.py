"""Text to tokens and back: the only place where text meets a tokenizer.

A prompt is rendered with the model's own chat template up to where the assistant speaks. Prompt and reply are what
the template itself tells of the two, up to the token that closes the turn: where it adds a thought, or leaves one out,
or trims blanks, so do the rows that are learned from and scored. The score of a reply is read at that closing token.

Text cannot speak with the template's voice: a control token that somebody types ("<|im_end|>") is broken
into ordinary tokens that spell it, so that it ends no turn and begins none.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from preflab.data.dialogue import Dialogue, Message
from preflab.data.tool_calls import has_calls
from preflab.errors import DataError, ModelError
from preflab.rollouts.chat_template import ChatTemplate
from preflab.rollouts.tool_turns import tells_calls, template_messages

_PROBE = "preflab probe"
_CUTS = "\ue000\uf8fe\ufdd0\ufdd1"
"""Characters that mark where a typed control token is broken; the first that the text does not hold is used."""


class Encoder:
    """A tokenizer and its chat template, with the ends of turns and the padding settled.

    Args:
        embedding_rows  of the model, where it is at hand: no token may lie behind them.
        moment          the date that the template is told; None: that of now.

    Raises:
        ModelError: the tokenizer has no end-of-sequence token and its template closes turns with no special token, so
            a reply could never end; or the template cannot render a plain exchange, or does so with tokens that the
            model has no embedding of; or there are several templates and no default.
    """

    def __init__(
        self, tokenizer: Any, *, max_tokens: int, embedding_rows: int | None = None, moment: datetime | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.embedding_rows = len(tokenizer) if embedding_rows is None else embedding_rows
        self.chat_template = ChatTemplate(tokenizer, moment)
        self.has_template = self.chat_template.has_own
        added = getattr(tokenizer, "added_tokens_decoder", {})
        self._special = {int(i) for i, token in added.items() if token.special} | set(tokenizer.all_special_ids)
        self._closes = False
        self.end_id = self._find_end()
        self.stop_ids = tuple(sorted({self.end_id} | ({tokenizer.eos_token_id} - {None})))
        self.pad_id = self._find_pad()
        control = [str(added[i]) if i in added else tokenizer.convert_ids_to_tokens(i) for i in self._special]
        longest_first = sorted({c for c in control if c}, key=lambda c: (-len(c), c))
        self._control = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)
        self._one_character_ends = {tokenizer.convert_ids_to_tokens(i) for i in self.stop_ids}
        self._begins_text, self._space = self._find_habits()
        self._begin = () if self.has_template else self._begins_text
        self._check_embedding()
        self._border_holds = self._find_border()

    def prompt(self, dialogue: Dialogue) -> tuple[int, ...]:
        """Tokens up to where the assistant begins to speak."""
        if not dialogue.awaits_reply:
            raise DataError("this dialogue does not await a reply")
        cut = _unused_character(_joined(dialogue.messages))
        return self._ids(self._text(dialogue.messages, cut, generation=True), cut)

    def turn(self, prompt: Dialogue, replies: Sequence[Message]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
        """Tokens of a prompt, and of each reply behind it, as the template tells them.

        Together they are the template's own telling of the dialogue, up to the token that closes the reply. What
        comes before the replies is all of ``self.prompt(prompt)``, unless the template tells it otherwise once a
        reply follows (it opens a thought for the assistant and leaves out thoughts that were finished, say): then
        the beginning that both have.

        Raises:
            DataError: the template refuses the dialogue, or it awaits no reply.
        """
        if not prompt.awaits_reply:
            raise DataError("this dialogue does not await a reply")
        cut = _unused_character(_joined((*prompt.messages, *replies)))
        text = self._text(prompt.messages, cut, generation=True)
        ids = self._ids(text, cut)
        tellings = [self._telling(prompt, reply, text, ids, cut) for reply in replies]
        shared = min((_n_shared(ids, telling) for telling in tellings), default=len(ids))
        if shared == 0:
            raise DataError("the chat template tells nothing of the prompt before a reply to it")
        return ids[:shared], [telling[shared:] for telling in tellings]

    def reply(self, text: str) -> tuple[int, ...]:
        """Tokens of a reply by itself, closed by the end-of-turn token: what it is where a template adds nothing."""
        return (*self.words(text), self.end_id)

    @cached_property
    def tells_calls(self) -> bool:
        """Whether the chat template tells calls of tools and their answers."""
        return tells_calls(lambda messages: self.chat_template.render(messages, generation=True))

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
        return self.chat_template.ending_with(self._end_text, closes=self._closes)

    @property
    def template(self) -> str:
        """Text of the chat template that is used."""
        return self.chat_template.source

    @property
    def _end_text(self) -> str:
        """How templates write the token that closes a reply."""
        return str(self.tokenizer.convert_ids_to_tokens(self.end_id))

    def _text(self, messages: Sequence[Message], cut: str, *, generation: bool) -> str:
        """Messages rendered, with ``cut`` in control tokens that they spell."""
        with_tools = any(has_calls(message) for message in messages) and self.tells_calls
        plain = template_messages(
            Dialogue(tuple(messages)), lambda text: self._break_control_tokens(text, cut), with_tools=with_tools
        )
        return self.chat_template.render(plain, generation=generation)

    def _ids(self, text: str, cut: str) -> tuple[int, ...]:
        """Tokens of a dialogue that was rendered."""
        return (*self._begin, *self._tokens(text, cut))

    def _telling(
        self, prompt: Dialogue, reply: Message, prompt_text: str, prompt_ids: tuple[int, ...], cut: str
    ) -> tuple[int, ...]:
        """Tokens of the template's telling of prompt and reply, up to the one that closes the reply."""
        text = self._text((*prompt.messages, reply), cut, generation=False)
        plain = prompt_text + self._break_control_tokens(reply.text, cut) + self._end_text
        if self._border_holds and text.rstrip() == plain and reply.text[:1].isalnum():
            return (*prompt_ids, *self.reply(reply.text))  # the prompt's tokens need not be made again for each reply
        telling = self._ids(text if self._closes else text.rstrip(), cut)
        if not self._closes:
            return (*telling, self.end_id)
        ends = [i for i, token in enumerate(telling) if token == self.end_id]
        return telling[: ends[-1] + 1] if ends else (*telling, self.end_id)

    def _find_border(self) -> bool:
        """Whether a prompt ends with what tokens never reach across: a control token or a line break."""
        prompt = self._text((Message("user", "a"),), _CUTS[0], generation=True)
        ids = self._ids(prompt, _CUTS[0])
        joined_ids = self._ids(prompt + "a", _CUTS[0])
        ends_hard = bool(ids) and (ids[-1] in self._special or prompt.endswith("\n"))
        return self._closes and ends_hard and joined_ids == (*ids, *self.words("a"))

    def _check_embedding(self) -> None:
        """Refuse a model that has no embedding of what its own template writes."""
        try:
            self._ids(
                self._text((Message("user", "a"), Message("assistant", "b")), _CUTS[0], generation=False), _CUTS[0]
            )
            outside = "" if self.end_id < self.embedding_rows else f"it closes replies with token {self.end_id}"
        except DataError as error:
            outside = str(error)
        if outside:
            raise ModelError(f"the chat template cannot be used: {outside}")

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
        ids = [int(t) for piece in pieces for t in self.tokenizer(piece, add_special_tokens=False)["input_ids"]]
        if ids and max(ids) >= self.embedding_rows:
            token = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise DataError(
                f"token {token!r} has number {max(ids)}, and the model embeds {self.embedding_rows}: "
                "tokens were added to the tokenizer, and the model's embedding was not resized"
            )
        return ids

    def _find_end(self) -> int:
        """The token that closes an assistant turn: what the template puts right after a reply."""
        if self.has_template:
            try:
                text = self.chat_template.render(Dialogue.of("a", _PROBE).to_json(), generation=False)
            except DataError as error:
                raise ModelError(f"the chat template cannot render a plain exchange: {error}") from error
            closing = self.tokenizer(text.rpartition(_PROBE)[2], add_special_tokens=False)["input_ids"]
            first = next((i for i, token in enumerate(closing) if token in self._special), None)
            if first is not None and not self.tokenizer.decode(closing[:first]).strip():
                self._closes = True
                return int(closing[first])
        self._closes = not self.has_template  # the plain one does
        if self.tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no end-of-sequence token, so a reply could never end; set eos_token")
        return int(self.tokenizer.eos_token_id)

    def _find_pad(self) -> int:
        """A padding token that the model embeds and that never ends a reply, so that saved models tell them apart."""

        def is_usable(token: int | None) -> bool:
            return token is not None and token not in self.stop_ids and token < self.embedding_rows

        named, unk = self.tokenizer.pad_token_id, self.tokenizer.unk_token_id
        if is_usable(named):
            return int(named)
        if is_usable(unk):
            return int(unk)
        spare = [i for i in sorted(self._special) if is_usable(i)]
        if spare:
            return int(spare[-1])
        # A word it must be, then: one whose spelling in the vocabulary ("Ġgazed") no text has, since saving
        # the tokenizer makes that spelling a special token. No reply ends with it, for all end with ``end_id``.
        ordinary = [i for i in reversed(range(len(self.tokenizer))) if is_usable(i)]
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


def _joined(messages: Sequence[Message]) -> str:
    """All their text."""
    return "".join(message.text for message in messages)


def _n_shared(prompt: Sequence[int], telling: Sequence[int]) -> int:
    """Tokens at the beginning that both have; the last of ``telling`` is not counted, since a reply needs one."""
    most = min(len(prompt), len(telling) - 1)
    return next((i for i in range(most) if prompt[i] != telling[i]), most)


def _unused_character(text: str) -> str:
    """A character to cut with that the text does not hold.

    Raises:
        DataError: the text holds all of them, as no text in a language does.
    """
    for cut in _CUTS:
        if cut not in text:
            return cut
    raise DataError("the text holds every character that could mark a cut in it (private use and noncharacters)")
