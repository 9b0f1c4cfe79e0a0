"""Dialogues to tokens and back: the only place where text meets a tokenizer.

A prompt is rendered with the model's own chat template up to where the assistant speaks; a reply is
tokenized on its own and closed by the template's end-of-turn token, exactly as a sampled reply is, so
that training and sampling see the same tokens. The score of a reply is read at that closing token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import DataError, ModelError

PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ '\\n\\n' + {'user': 'Human', 'assistant': 'Assistant', 'system': 'System'}[m['role']]"
    " + ': ' + m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '\\n\\nAssistant:' }}{% endif %}"
)
"""For base models without a template of their own: the dialogue format of Askell et al. 2021."""

_PROBE = "preflab probe"


class Encoder:
    """A tokenizer and its chat template, with the ends of turns and the padding settled.

    Raises:
        ModelError: the tokenizer has no end-of-sequence token and its template closes turns with no
            special token, so a reply could never end.
    """

    def __init__(self, tokenizer: Any, *, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        self.template = None if self.has_template else PLAIN_TEMPLATE
        self.end_id = self._find_end()
        self.stop_ids = tuple(sorted({self.end_id} | ({tokenizer.eos_token_id} - {None})))
        self.pad_id = self._find_pad()

    def prompt(self, dialogue: Dialogue) -> tuple[int, ...]:
        """Tokens up to where the assistant begins to speak."""
        if not dialogue.awaits_reply:
            raise DataError("this dialogue does not await a reply")
        ids = self._render(dialogue, generation=True)
        return tuple(ids)

    def reply(self, text: str) -> tuple[int, ...]:
        """Tokens of a reply, closed by the end-of-turn token."""
        if not self.has_template:
            text = " " + text.lstrip()
        return (*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end_id)

    def text(self, ids: Sequence[int]) -> str:
        """What sampled tokens say, up to the end of the turn."""
        kept: list[int] = []
        for token in ids:
            if token in self.stop_ids:
                break
            kept.append(int(token))
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()

    def _render(self, dialogue: Dialogue, *, generation: bool) -> list[int]:
        try:
            text = self.tokenizer.apply_chat_template(
                dialogue.to_json(), chat_template=self.template, tokenize=False, add_generation_prompt=generation
            )
        except Exception as error:  # jinja templates raise what they like ("system role not supported")
            raise DataError(f"the chat template refuses this dialogue: {error}") from error
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _find_end(self) -> int:
        """The token that closes an assistant turn: what the template puts right after a reply."""
        if self.has_template:
            text = self.tokenizer.apply_chat_template(
                Dialogue.of("a", _PROBE).to_json(), tokenize=False, add_generation_prompt=False
            )
            rest = self.tokenizer(text.rsplit(_PROBE, 1)[1], add_special_tokens=False)["input_ids"]
            special = set(self.tokenizer.all_special_ids)
            if rest and rest[0] in special:
                return int(rest[0])
        if self.tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no end-of-sequence token, so a reply could never end; set eos_token")
        return int(self.tokenizer.eos_token_id)

    def _find_pad(self) -> int:
        """A padding token that never ends a reply, so that saved models cannot mistake one for the other."""
        named = self.tokenizer.pad_token_id
        if named is not None and named not in self.stop_ids:
            return int(named)
        unk = self.tokenizer.unk_token_id
        spare = [i for i in sorted(self.tokenizer.all_special_ids) if i not in self.stop_ids]
        if unk is not None and unk not in self.stop_ids:
            return int(unk)
        return int(spare[-1]) if spare else 0


@dataclass(frozen=True)
class Encoded:
    """Comparisons as rows, and an account of what did not fit."""

    rows: list[Row]
    comparisons: list[Comparison]
    shortened: int = 0
    """Prompts that lost their earliest turns to fit."""
    refused: list[str] = field(default_factory=list)
    """Why comparisons were left out: even the last turn did not fit beside a reply."""

    @property
    def n_tokens(self) -> int:
        """Tokens the rows hold, each prefix once."""
        return sum(len(row) for row in self.rows)


def encode_comparisons(encoder: Encoder, comparisons: Sequence[Comparison]) -> Encoded:
    """One row a comparison: the prompt once, a branch per reply. Replies are never cut."""
    rows, kept, refused, shortened = [], [], [], 0
    for n, comparison in enumerate(comparisons):
        replies = [encoder.reply(reply) for reply in comparison.replies]
        fitted = fit_prompt(encoder, comparison.prompt, room=encoder.max_tokens - max(len(r) for r in replies))
        if fitted is None:
            where = comparison.provenance.id or f"comparison {n}"
            refused.append(f"{where}: prompt and longest reply exceed {encoder.max_tokens} tokens")
            continue
        prefix, cut = fitted
        shortened += cut
        rows.append(Row.of(prefix, *replies))
        kept.append(comparison)
    return Encoded(rows, kept, shortened, refused)


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
