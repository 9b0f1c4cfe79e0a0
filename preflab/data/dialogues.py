"""Dialogues to learn from: whole ones with the assistant's turns, not judged."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources.files import digest_of, read_records
from preflab.data.sources.record import column, messages, prompt_messages, text
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused

REPLIES = ("reply", "completion", "response")
"""Columns that a reply to a ``prompt`` may stand in."""


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


def load_dialogues(name: str | Path) -> LoadedDialogues:
    """Read dialogues from a file of records (.jsonl, .json, either with .gz, .parquet).

    A record has ``messages``, or a ``prompt`` (text, messages, or in the notation of hh-rlhf) and its ``reply``
    (``completion`` and ``response`` will do). Records in which the assistant says nothing are refused and counted.

    Raises:
        DataError: the file is missing, a record is neither, or every record was refused.
    """
    path = Path(name)
    if not path.is_file():
        raise DataError("no such file; expected records with 'messages', or with 'prompt' and 'reply'", path=path)
    dialogues: list[Dialogue] = []
    refused: Counter[str] = Counter()
    first_refused: dict[str, str] = {}
    for located in read_records(path):
        try:
            dialogues.append(_dialogue(located.record))
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
    )


def _dialogue(record: Record) -> Dialogue:
    """One record."""
    if "messages" in record:
        turns = messages(record["messages"], "messages")
    else:
        name = next((name for name in REPLIES if name in record), REPLIES[0])
        turns = (*prompt_messages(column(record, "prompt"), "prompt"), Message("assistant", text(record, name)))
    if not any(turn.role == "assistant" and turn.text.strip() for turn in turns):
        raise RecordRefused("the assistant says nothing", field="messages")
    return Dialogue(turns)
