"""Columns of a record: which of them a format reads, what the others might be, and renaming them by hand.

A column that is not read may change what a record means (an instruction, a system message, a score) or not (an id, a
length). The first kind is never passed over in silence.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from preflab.data.sources.source import Record
from preflab.errors import ConfigError, DataError

IGNORE = "ignore"
"""What a column is called that may be left out."""
NOT_USED = "not used"
"""How what is said of a column begins that is not read."""

_PROMPT, _REPLY, _JUDGEMENT = "part of the prompt", "a reply", "a judgement"
_NAMES = {
    _PROMPT: """prompt prompts instruction instructions question query input inputs task problem request user human post
    context passage document article background paragraph source_text reference_text text history conversation
    conversations messages dialog dialogue chat turns""",
    "a system message": "system system_prompt system_message sys_prompt developer persona",
    "tools": "tools functions tool_calls",
    "not text": "image images audio video videos",
    _REPLY: """chosen rejected reply replies response responses completion completions output outputs answer answers
    generation generations candidate candidates winner_response loser_response""",
}
_MEANINGS = {name: meaning for meaning, names in _NAMES.items() for name in names.split()}
"""Names by which people call what changes a record's meaning, without case, blanks, dots and dashes."""
_NUMBERED_REPLY = re.compile(r"(reply|response|completion|output|answer|generation|candidate)_?([0-9]+|[a-e])")
_JUDGED = re.compile(
    r"(^|_)(score|scores|rating|ratings|rank|ranks|ranking|grade|rewards?|margin|strength|preference|label|winner|"
    r"votes?|likert|overall|better|best)(_|$)"
)
_BOOKKEEPING = re.compile(
    r"(^|_)(ids?|uid|uuid|index|idx|hash|url|link|lang|language|date|time|timestamp|created|updated|split|version|"
    r"license|length|len|tokens|chars|words|count|num|models?|source|dataset|origin|category|topic|tags)(_|$)"
)


def normalised(name: str) -> str:
    """The name in lower case, with ``_`` for blanks, dots and dashes."""
    return re.sub(r"[\s.\-]+", "_", name.strip().lower())


def meaning_of(name: str, value: object) -> str:
    """What a column that nobody reads might be, where that changes the record; empty where it does not."""
    if is_empty(value):
        return ""
    plain = normalised(name)
    if plain in _MEANINGS:
        return f"perhaps {_MEANINGS[plain]}"
    if _NUMBERED_REPLY.fullmatch(plain):
        return f"perhaps {_REPLY}"
    if holds_messages(value):
        return "messages"
    if _JUDGED.search(plain) and not isinstance(value, bool):
        return f"perhaps {_JUDGEMENT}"
    return ""


def is_empty(value: object) -> bool:
    """Whether nothing stands in the cell: null, NaN (as tables write it), or only blanks."""
    if isinstance(value, float) and math.isnan(value):
        return True
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def holds_messages(value: object) -> bool:
    """Whether this is a list of messages under any of their keys, or JSON text of one."""
    return _are_messages(decode_json_text(value))


def _are_messages(value: object) -> bool:
    """Whether this is a list of messages, by the key of who speaks."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(message, Mapping) and (message.keys() & {"role", "from"}) for message in value)
    )


def decode_json(value: object) -> object:
    """JSON text as what it says; everything else, and text that is none, as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def decode_json_text(value: object) -> object:
    """A list or object that stands in the cell as JSON text of messages; everything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    decoded = decode_json(value)
    return decoded if _are_messages([decoded] if isinstance(decoded, dict) else decoded) else value


def side_columns(record: Record) -> dict[str, str]:
    """Columns that say the same fact of both sides: ``score_chosen`` -> ``score_rejected``, by the chosen one."""
    pairs: dict[str, str] = {}
    for name in record:
        if name != "chosen" and "chosen" in name:
            other = name.replace("chosen", "rejected")
            if other in record:
                pairs[name] = other
    return pairs


def reading_of(record: Record, reads: Mapping[str, str], *, sides: bool = False) -> dict[str, str]:
    """Column -> what it is read as; ``not used`` for the others, with what they might be.

    Args:
        reads  what a format reads, by column.
        sides  whether it reads facts of a side too.
    """
    readings = _read_as(record, reads, sides)
    return {name: readings.get(name) or _not_used(name, value) for name, value in record.items()}


def _read_as(record: Record, reads: Mapping[str, str], sides: bool) -> dict[str, str]:
    """What a format reads of a record, by column."""
    readings = dict(reads)
    if sides:
        for chosen, rejected in side_columns(record).items():
            if fact := side_fact(chosen):
                readings |= {chosen: f"{fact} of chosen", rejected: f"{fact} of rejected"}
    return readings


def _not_used(name: str, value: object) -> str:
    """What is said of a column that is not read."""
    hint = meaning_of(name, value) or ("bookkeeping" if _BOOKKEEPING.search(normalised(name)) else "")
    return f"{NOT_USED}: {hint}" if hint else NOT_USED


def unused_columns(readings: Mapping[str, str]) -> list[str]:
    """Columns that were not read, out of what `reading_of` says."""
    return [name for name, reading in readings.items() if reading.startswith(NOT_USED)]


def side_fact(column: str) -> str:
    """What a column of one side tells: a score, which policy wrote it, or nothing that is read."""
    plain = re.sub(r"_?(chosen|rejected)_?", "_", normalised(column)).strip("_")
    if _JUDGED.search(plain):
        return "score"
    return "policy" if plain in ("model", "policy", "model_name", "generator") else ""


def unread_columns(record: Record, reads: Mapping[str, str], *, sides: bool = False) -> dict[str, str]:
    """Columns that are not read although they change the record -> what they might be; arguments as `reading_of`.

    A part of the prompt whose texts all stand in columns that are read (the prompt once more) changes nothing.
    """
    if not reads:
        return {}
    read = _read_as(record, reads, sides)
    unread = {n: guess for n, value in record.items() if n not in read and (guess := meaning_of(n, value))}
    if unread:
        texts = {text for name, value in record.items() if name in read for text in _texts(value)}
        prompt_like = (f"perhaps {_PROMPT}", "messages")
        unread = {n: guess for n, guess in unread.items() if guess not in prompt_like or not _repeats(record[n], texts)}
    return unread


def _repeats(value: object, texts: set[str]) -> bool:
    """Whether a cell holds text, and none that does not stand elsewhere."""
    own_texts = set(_texts(value))
    return bool(own_texts) and own_texts <= texts


def _texts(value: object) -> Iterator[str]:
    """Every text in a cell, without blanks around it; of messages what is said, not by whom."""
    value = decode_json_text(value)
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if key not in ("role", "from", "type"):
                yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


class ColumnMap:
    """Columns renamed or left out by hand: ``prompt=instruction``, ``ignore=notes``; several with commas between.

    Raises:
        ConfigError: an entry has no ``=`` or an empty side, or a target comes twice.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self.ignored: set[str] = set()
        self.column_of: dict[str, str] = {}
        for entry in ",".join(entries).split(",") if entries else ():
            target, sign, column = (part.strip() for part in entry.partition("="))
            if not sign or not target or not column:
                raise ConfigError(f"columns: expected NAME=COLUMN, such as prompt=instruction, found {entry!r}")
            if target == IGNORE:
                self.ignored.add(column)
            elif target in self.column_of:
                raise ConfigError(f"columns: {target!r} stands there twice")
            else:
                self.column_of[target] = column

    def __bool__(self) -> bool:
        return bool(self.ignored or self.column_of)

    def check(self, record: Record) -> None:
        """Refuse names that the first record of a file does not have, and a new name that it has already.

        Raises:
            DataError: which, and what there is.
        """
        missing = [name for name in (*self.column_of.values(), *sorted(self.ignored)) if name not in record]
        if missing:
            raise DataError(
                f"columns: there is no {', '.join(map(repr, missing))}; this record has {', '.join(record)}"
            )
        moved = set(self.column_of.values()) | self.ignored
        taken = [target for target in self.column_of if target in record and target not in moved]
        if taken:
            raise DataError(f"columns: there is a {taken[0]!r} already; leave it out with ignore={taken[0]}")

    def apply(self, record: Record) -> Record:
        """The record with the columns under their new names, and without those that may be left out."""
        moved = set(self.column_of.values()) | self.ignored
        renamed = {name: value for name, value in record.items() if name not in moved}
        return renamed | {target: record[column] for target, column in self.column_of.items() if column in record}
