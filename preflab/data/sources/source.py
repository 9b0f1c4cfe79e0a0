"""What a format is: a way to recognise, read and perhaps write one record."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from preflab.data.comparison import Comparison

Record = Mapping[str, object]
"""One line of JSON or one row of a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One format of comparison data."""

    name: str
    columns: str
    """What a record holds, in words, for people whose file was not understood."""
    recognise: Callable[[Record], bool]
    """Whether this first record of a file is of this format."""
    read: Callable[[Record], Comparison]
    """One record; raises RecordRefused for bad content and DataError for a record that is not of the format."""
    write: Callable[[Comparison], Iterator[dict[str, object]]] | None = None
    """The records that carry this comparison; None where the format is only read."""
    keeps_ties: bool = False
    """Whether ``write`` can express a tie; where not, it writes the decided pairs only."""
