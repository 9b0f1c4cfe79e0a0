"""Taking fields out of a record, and putting a comparison together from them.

Two kinds of trouble are told apart. A record that is not of its format at all (a column missing, a number
where text belongs) raises DataError and stops the load. A record of the right form with unusable content
raises RecordRefused with a fixed reason, which the load counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import ROLES, Dialogue, Message
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused


def column(record: Record, name: str) -> object:
    """A column that must be there."""
    if name not in record:
        raise DataError(f"missing; this record has {', '.join(record) or 'no columns'}", field=name)
    return record[name]


def wrong_type(name: str, expected: str, value: object) -> DataError:
    """The error for a column that holds something else than it should."""
    return DataError(f"expected {expected}, found {type(value).__name__} {value!r:.60}", field=name)


def text(record: Record, name: str) -> str:
    """A column that must hold text."""
    value = column(record, name)
    if not isinstance(value, str):
        raise wrong_type(name, "text", value)
    return value


def optional_text(record: Record, name: str) -> str:
    """A column of text that may be missing or null; a number, as ids often are, becomes its digits."""
    value = record.get(name)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(record, name)


def optional_number(record: Record, name: str) -> float | None:
    """A column with a number that may be missing or null."""
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, "a number", value)
    return float(value)


def is_messages(value: object) -> bool:
    """Whether this looks like OpenAI-style messages."""
    return isinstance(value, list) and bool(value) and all(isinstance(m, Mapping) and "role" in m for m in value)


def messages(value: object, name: str) -> tuple[Message, ...]:
    """OpenAI-style messages; a content made of text parts is joined.

    Raises:
        DataError: this is not a list of messages.
        RecordRefused: it is one, but with a role or a content that a dialogue of text cannot hold.
    """
    complete = isinstance(value, list) and all(
        isinstance(m, Mapping) and {"role", "content"} <= m.keys() for m in value
    )
    if not complete:
        raise wrong_type(name, "a list of messages with 'role' and 'content'", value)
    parsed = []
    for message in cast(list[Mapping[str, object]], value):
        if message["role"] not in ROLES:
            raise RecordRefused(f"a message has another role than {', '.join(ROLES)}", field=name)
        parsed.append(Message(message["role"], _content(message["content"], name)))
    return tuple(parsed)


def _content(value: object, name: str) -> str:
    """The text of one message: a string, or OpenAI's list of ``{"type": "text", "text"}`` parts."""
    if isinstance(value, str):
        return value
    texts = (
        [part.get("text") if isinstance(part, Mapping) else None for part in value] if isinstance(value, list) else []
    )
    if texts and all(isinstance(text, str) for text in texts):
        return "".join(cast(list[str], texts))
    raise RecordRefused("a message holds something else than text", field=name)


def prompt_messages(value: object, name: str) -> tuple[Message, ...]:
    """A prompt: one string, which the user says, or messages."""
    return (Message("user", value),) if isinstance(value, str) else messages(value, name)


def comparison(
    prompt: Sequence[Message], replies: Sequence[str], ranks: Sequence[int] = (0, 1), **fields: Any
) -> Comparison:
    """A comparison, unless its content makes it useless.

    Raises:
        RecordRefused: an empty prompt or reply, characters that are not Unicode text, or what Comparison refuses.
    """
    if not any(message.text.strip() for message in prompt):
        raise RecordRefused("the prompt is empty", field="prompt")
    if not all(reply.strip() for reply in replies):
        raise RecordRefused("a reply is empty", field="replies")
    if not all(is_unicode(part) for part in (*replies, *(message.text for message in prompt))):
        raise RecordRefused("a text holds half of a surrogate pair, which is no character")
    return Comparison(
        prompt=Dialogue(tuple(prompt)),
        replies=tuple(replies),
        ranks=tuple(ranks),
        **fields,
    )


def is_unicode(string: str) -> bool:
    """Whether the string can be written as UTF-8."""
    if string.isascii():
        return True
    try:
        string.encode()
    except UnicodeEncodeError:
        return False
    return True


def last_replies_compared(chosen: Sequence[Message], rejected: Sequence[Message], **fields: Any) -> Comparison:
    """Two whole dialogues that are the same up to their last reply.

    Raises:
        RecordRefused: they do not end with a reply, differ in length, or differ before the last reply.
    """
    if not chosen or not rejected or chosen[-1].role != "assistant" or rejected[-1].role != "assistant":
        raise RecordRefused("a side does not end with a reply of the assistant")
    if len(chosen) != len(rejected):
        raise RecordRefused("the two sides have different numbers of turns")
    if tuple(chosen[:-1]) != tuple(rejected[:-1]):
        raise RecordRefused("the two sides differ before the last reply")
    if len(chosen) == 1:
        raise RecordRefused("the prompt is empty", field="prompt")
    return comparison(chosen[:-1], (chosen[-1].text, rejected[-1].text), **fields)


def full_dialogue(prompt: Sequence[Message], side: Sequence[Message]) -> tuple[Message, ...]:
    """The whole dialogue, whether ``side`` repeats the prompt or only continues it.

    Raises:
        RecordRefused: ``side`` starts a dialogue of its own that lacks the prompt.
    """
    if tuple(side[: len(prompt)]) == tuple(prompt) and len(side) > len(prompt):
        return tuple(side)
    if side and side[0].role == "assistant":
        return (*prompt, *side)
    if len(prompt) == 1 and prompt[0] in side:  # a system message stands before the prompt that we were given
        return tuple(side)
    raise RecordRefused("a side does not continue the prompt")


def provenance(record: Record, id_column: str = "id") -> Provenance:
    """The record's own id; the load fills in what is missing."""
    return Provenance(id=optional_text(record, id_column))
