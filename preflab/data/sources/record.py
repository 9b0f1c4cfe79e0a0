"""Taking fields out of a record, and putting a comparison together from them.

Two kinds of trouble are told apart. A record that is not of its format at all (a column missing, a number
where text belongs) raises DataError and stops the load. A record of the right form with unusable content
raises RecordRefused with a fixed reason, which the load counts.
"""

import math
from collections.abc import Sequence
from typing import Any

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources.columns import is_empty
from preflab.data.sources.messages import wrong_type
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused


def column(record: Record, name: str) -> object:
    """A column that must be there."""
    if name not in record:
        raise DataError(f"missing; this record has {', '.join(record) or 'no columns'}", field=name)
    return record[name]


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
    """A column with a number, or the digits of one, that may be missing or null.

    Raises:
        DataError: it holds something else.
        RecordRefused: it is no number that can be reckoned with (NaN, infinite, beyond what a float holds).
    """
    value = record.get(name)
    if is_empty(value) and not isinstance(value, float):
        return None
    return finite_number(value, name)


def finite_number(value: object, name: str) -> float:
    """A number, or the digits of one.

    Raises:
        DataError, RecordRefused: as `optional_number`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong_type(name, "a number", value)
    try:
        number = float(value)
    except OverflowError as error:
        raise RecordRefused(f"{name} is a number beyond what a float holds", field=name) from error
    except ValueError as error:
        raise wrong_type(name, "a number", value) from error
    if not math.isfinite(number):
        raise RecordRefused(f"{name} is not a finite number", field=name)
    return number


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
    if len(side) == 1:
        raise RecordRefused(f"a side is a turn of the {side[0].role}; expected the assistant's reply")
    raise RecordRefused("a side neither repeats the prompt nor begins with the assistant's reply")


def with_system(dialogue: Sequence[Message], system: str) -> tuple[Message, ...]:
    """The dialogue under a system message that stands in a column of its own; empty: none.

    Raises:
        RecordRefused: the dialogue has another one already.
    """
    if not system.strip():
        return tuple(dialogue)
    if dialogue and dialogue[0].role == "system":
        if dialogue[0].text != system:
            raise RecordRefused("the system column and the system message of the dialogue differ", field="system")
        return tuple(dialogue)
    return (Message("system", system), *dialogue)


def provenance(record: Record, id_column: str = "id") -> Provenance:
    """The record's own id; the load fills in what is missing."""
    return Provenance(id=optional_text(record, id_column))
