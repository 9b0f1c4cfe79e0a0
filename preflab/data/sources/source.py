"""What a format is: a way to recognise, read and perhaps write one record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from preflab.data.comparison import Comparison

Record = Mapping[str, object]
"""One line of JSON or one row of a table."""

ReadRecord = Callable[[Record], Comparison | Sequence[Comparison]]
"""One record to a comparison, or to several where it holds several judgements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One format of comparison data."""

    name: str
    columns: str
    """What a record holds, in words, for people whose file was not understood."""
    recognise: Callable[[Record], bool]
    """Whether a record has the shape of this format; columns that it does not read are looked at elsewhere."""
    read: ReadRecord
    """One record; raises RecordRefused for bad content and DataError for a record that is not of the format."""
    reads: Mapping[str, str] = field(default_factory=dict)
    """Column -> what it is read as. Empty: the format does not say, and its columns are not looked at."""
    reads_sides: bool = False
    """Whether facts of a side (``score_chosen`` and ``score_rejected``; ``chosen_model`` ...) are read too."""
    write: Callable[[Comparison], Iterator[dict[str, object]]] | None = None
    """The records that carry this comparison; None where the format is only read."""
    keeps_ties: bool = False
    """Whether ``write`` can express a tie; where not, it writes the decided pairs only."""
    priority: int = 0
    """Of formats that fit a record alike, the one with the highest has it; equal ones by name."""

    def comparisons(self, record: Record) -> list[Comparison]:
        """What a record holds, as a list; errors are those of ``read``."""
        content = self.read(record)
        return [content] if isinstance(content, Comparison) else list(content)
