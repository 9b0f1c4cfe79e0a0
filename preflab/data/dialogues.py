"""Dialogues to learn from: whole ones with the assistant's turns, not judged."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from preflab.data.dialogue import Dialogue, Message
from preflab.data.prompts import prompt_turns
from preflab.data.sources.columns import (
    ColumnMap,
    decode_json_text,
    is_empty,
    reading_of,
    unread_columns,
    unused_columns,
)
from preflab.data.sources.files import LocatedRecord, digest_of, read_records
from preflab.data.sources.instructions import INSTRUCTIONS, READS, instruction_column, instruction_messages
from preflab.data.sources.messages import messages
from preflab.data.sources.record import column, optional_text, with_system
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused

CONVERSATIONS = ("messages", "conversations", "conversation")
"""Columns that whole dialogues may stand in."""
REPLIES = ("reply", "completion", "response", "output", "answer")
"""Columns that a reply to a prompt may stand in."""
_WHOLE = {"system": "system message", "id": "id"}
_EXPECTED = f"messages (or conversations); or prompt ({', '.join(INSTRUCTIONS)}) and one of {', '.join(REPLIES)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedDialogues:
    """What was read, from where, and what was left out and why."""

    dialogues: list[Dialogue]
    source: str
    digest: str
    records: int
    refused: dict[str, int]
    """Reason -> how many records were refused for it."""
    first_refused: dict[str, str]
    """Reason -> ``path:line`` of the first of them."""
    columns: dict[str, str] = field(default_factory=dict)
    """Column -> what it was read as, or ``not used`` and what it might be."""

    @property
    def unused(self) -> list[str]:
        """Columns that were not read. None of them changes what a record means, by its name and its content."""
        return unused_columns(self.columns)


def load_dialogues(name: str | Path, *, columns: Sequence[str] = ()) -> LoadedDialogues:
    """Read dialogues from a file of records, in any of the endings of `load_comparisons`.

    A record has ``messages`` (or ShareGPT's ``conversations``); or a ``prompt`` (text, messages, or in the notation of
    hh-rlhf) and its ``reply`` (``completion``, ``response``, ``output`` and ``answer`` will do); or the columns of
    Alpaca and Orca in place of the prompt. A ``system`` column is the system message. A turn of ``weight`` 0 is context
    and is not learned. Records in which the assistant says nothing are refused and counted, and so are those that hold
    something in a column that matters and is not read.

    Args:
        columns  columns under other names, or left out: ``prompt=title``, ``ignore=notes``.

    Raises:
        DataError: the file is missing, a record is none of these, or every record was refused.
        ConfigError: ``columns`` is not of its form.
    """
    path, column_map = Path(name), ColumnMap(columns)
    if not path.is_file():
        raise DataError(f"no such file; expected records with {_EXPECTED}", path=path)
    dialogues: list[Dialogue] = []
    refused: Counter[str] = Counter()
    first_refused: dict[str, str] = {}
    readings: dict[str, str] = {}
    for located in read_records(path):
        try:
            dialogues.append(_dialogue(located, column_map, readings))
        except RecordRefused as refusal:
            refused[refusal.message] += 1
            first_refused.setdefault(refusal.message, f"{located.path}:{located.number}")
        except DataError as error:
            raise error.with_location(located.path, located.number) from error
    if not dialogues:
        raise DataError(f"every record was refused: {dict(refused)}", path=path)
    records = len(dialogues) + sum(refused.values())
    return LoadedDialogues(
        dialogues=dialogues,
        source=str(name),
        digest=digest_of([path]),
        records=records,
        refused=dict(refused),
        first_refused=first_refused,
        columns=readings,
    )


def _dialogue(located: LocatedRecord, column_map: ColumnMap, readings: dict[str, str]) -> Dialogue:
    """One record; what its columns are read as goes into ``readings``."""
    if column_map and not readings:
        column_map.check(located.record)
    record = column_map.apply(located.record)
    turns, reads = _turns(record)
    for name, reading in reading_of(record, reads).items():
        readings.setdefault(name, reading)
    for name, guess in unread_columns(record, reads).items():
        raise RecordRefused(
            f"column {name!r} ({guess}) is not read; name it with columns, or ignore={name}", field=name
        )
    turns = with_system(turns, optional_text(record, "system"))
    replies = [turn for turn in turns if turn.role == "assistant" and turn.text.strip()]
    if not replies:
        raise RecordRefused("the assistant says nothing", field="messages")
    if not any(turn.learned for turn in replies):
        raise RecordRefused("every turn of the assistant has weight 0: there is nothing to learn", field="messages")
    return Dialogue(turns)


def _turns(record: Record) -> tuple[tuple[Message, ...], dict[str, str]]:
    """The turns of a record, and what its columns are read as.

    Raises:
        DataError: it holds no dialogue.
    """
    name = next((name for name in CONVERSATIONS if not is_empty(record.get(name))), None)
    if name is not None:
        return messages(record[name], name, weights=True), {name: "the dialogue", **_WHOLE}
    has_instruction = instruction_column(record) is not None
    if not has_instruction and "prompt" not in record:
        raise DataError(f"missing; expected {_EXPECTED}; this record has {', '.join(record)}", field="prompt")
    replies = [name for name in REPLIES if not is_empty(record.get(name))]
    if len(replies) > 1:
        raise DataError(f"expected one reply, found {', '.join(replies)}; leave one out with ignore={replies[1]}")
    if not replies:
        column(record, next((name for name in REPLIES if name in record), REPLIES[0]))
        raise RecordRefused("the assistant says nothing", field="reply")
    reply_column = replies[0]
    prompt = instruction_messages(record) if has_instruction else prompt_turns(column(record, "prompt"))
    reads = {**(READS if has_instruction else {"prompt": "the prompt"}), reply_column: "the reply", **_WHOLE}
    reply = decode_json_text(record[reply_column])
    replied = (Message("assistant", reply),) if isinstance(reply, str) else messages(reply, reply_column)
    return (*prompt, *replied), reads
