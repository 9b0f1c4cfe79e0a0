"""An instruction with two sides: the columns of Alpaca, Orca and the tools that read them.

``instruction`` (or ``question``, ``query``), what it is about in ``input``, turns before it in ``history``, and a
``system`` message.
"""

from preflab.data.comparison import Comparison
from preflab.data.sources.instructions import INSTRUCTIONS, READS, instruction_column, instruction_messages
from preflab.data.sources.pairs import SIDES, is_side, judged_pairs
from preflab.data.sources.record import optional_text
from preflab.data.sources.source import Record, Source


def recognise(record: Record) -> bool:
    """One column with the instruction, and two sides."""
    return instruction_column(record) is not None and all(is_side(record.get(name)) for name in ("chosen", "rejected"))


def read(record: Record) -> list[Comparison]:
    """One record."""
    return judged_pairs(record, instruction_messages(record), system=optional_text(record, "system"))


SOURCE = Source(
    name="instruction",
    columns=f"{', '.join(INSTRUCTIONS)} (one of them), chosen, rejected; input, history, system, margin if any",
    recognise=recognise,
    read=read,
    reads={**READS, **SIDES},
    reads_sides=True,
    priority=1,
)
