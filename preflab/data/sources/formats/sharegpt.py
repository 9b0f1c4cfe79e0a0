"""ShareGPT: ``conversations`` of turns with ``from`` and ``value``, and the two ways it might go on."""

from preflab.data.comparison import Comparison
from preflab.data.sources.messages import is_messages, messages
from preflab.data.sources.pairs import SIDES, is_side, judged_pairs
from preflab.data.sources.record import column, optional_text
from preflab.data.sources.source import Record, Source

CONVERSATIONS = ("conversations", "conversation")


def _column(record: Record) -> str:
    """The column with the turns."""
    return next((name for name in CONVERSATIONS if name in record), CONVERSATIONS[0])


def recognise(record: Record) -> bool:
    """Turns, and two sides."""
    return is_messages(record.get(_column(record))) and all(
        is_side(record.get(name)) for name in ("chosen", "rejected")
    )


def read(record: Record) -> list[Comparison]:
    """One record; the conversation is the prompt of both sides."""
    name = _column(record)
    return judged_pairs(record, messages(column(record, name), name), system=optional_text(record, "system"))


SOURCE = Source(
    name="sharegpt",
    columns="conversations (turns with from and value), chosen, rejected (a turn, turns or text); system if any",
    recognise=recognise,
    read=read,
    reads={**dict.fromkeys(CONVERSATIONS, "the prompt"), "system": "system message", **SIDES},
    reads_sides=True,
    priority=2,
)
