"""Records from local files: JSON lines, JSON, CSV and TSV, any of them compressed, and Parquet."""

import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from preflab.data.sources.source import Record
from preflab.errors import DataError

_COMPRESSED = (".gz", ".zst")
_JSON = (".jsonl", ".ndjson", ".json")
_TABLES = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet", ".ndjson", ".csv", ".tsv", "any of them with .zst")
"""Endings of the files that hold records, for messages."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_CELL = min(sys.maxsize, 2**31 - 1)


@dataclass(frozen=True, slots=True)
class LocatedRecord:
    """A record and its place."""

    record: Record
    path: str
    number: int
    """Line of a file of JSON lines or of a table, otherwise the record's number; all from 1."""


def ending_of(path: Path) -> str:
    """What kind of file the name says: its ending in lower case, without that of the compression."""
    name = path.name.lower()
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return Path(name).suffix


def holds_records(path: Path) -> bool:
    """Whether the name ends as a file of records does, in any case."""
    ending = ending_of(path)
    return ending in (*_JSON, *_TABLES) or (ending == ".parquet" and path.name.lower().endswith(".parquet"))


def read_records(path: Path) -> Iterator[LocatedRecord]:
    """The records of one file, in order.

    Raises:
        DataError: the file is empty, cannot be read, or breaks off being what its name says.
    """
    if not holds_records(path):
        raise DataError(f"expected a file ending in {', '.join(SUFFIXES)}", path=path)
    ending = ending_of(path)
    if ending == ".parquet":
        numbered: Iterator[tuple[int, object]] = _parquet_records(path)
    elif ending in _TABLES:
        numbered = _table_records(path, _TABLES[ending])
    else:
        numbered = _json_records(path)
    is_empty = True
    for number, record in numbered:
        if not isinstance(record, dict):
            raise DataError(f"expected an object, found {type(record).__name__}", path=path, line=number)
        is_empty = False
        yield LocatedRecord(record, str(path), number)
    if is_empty:
        raise DataError("is empty; expected at least one record", path=path)


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, decompressed by the ending of its name."""
    name = path.name.lower()
    if name.endswith(".gz"):
        with gzip.open(path, "rb") as file:
            yield cast(IO[bytes], file)
    elif name.endswith(".zst"):
        import pyarrow as pa

        with pa.input_stream(str(path), compression="zstd") as stream:
            yield io.BufferedReader(cast(io.RawIOBase, stream))
    else:
        with path.open("rb") as file:
            yield file


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""The lines of a text file with their numbers from 1, each with its ``\n``; a byte order mark is skipped.

    Lines end at ``\n`` alone: what else Python takes for the end of a line may stand within JSON.

    Raises:
        DataError: the file cannot be read, or a line of it is not UTF-8.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    _refuse_utf16(line, path)
                    line = line.removeprefix(b"\xef\xbb\xbf")
                yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.object[error.start]:#04x} at column {error.start + 1} is not UTF-8; save the file as UTF-8",
            path=path,
            line=number,
        ) from error
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be read: {error}", path=path, line=number + 1) from error


def _refuse_utf16(line: bytes, path: Path) -> None:
    """Name the encoding that PowerShell's ``>`` writes, in place of the first byte that is not UTF-8."""
    if line.startswith(_UTF16) or (len(line) > 3 and line[:4:2] == b"\0\0") or line[1:4:2] == b"\0\0":
        raise DataError("is UTF-16 (PowerShell's > writes it); save it as UTF-8: Set-Content -Encoding utf8", path=path)


def read_text(path: Path) -> str:
    """A whole text file, decompressed by its ending, its lines ended as on Unix.

    Raises:
        DataError: as `text_lines`.
    """
    return "".join(line for _, line in text_lines(path)).replace("\r\n", "\n")


def _json_records(path: Path) -> Iterator[tuple[int, object]]:
    """One JSON value a line, or the items of one list."""
    lines = text_lines(path)
    for number, line in lines:
        if number == 1 and line.lstrip().startswith("["):
            yield from enumerate(_json_list(path, line + "".join(text for _, text in lines)), start=1)
            return
        if line := line.rstrip():
            yield number, _decode(line, path, number)


def _decode(line: str, path: Path, number: int) -> object:
    """One line of JSON.

    Raises:
        DataError: it is none.
    """
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"not valid JSON: {error.msg} at column {error.colno}", path=path, line=number) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or brackets as deep
        raise DataError(f"cannot be read: {error}", path=path, line=number) from error


def _json_list(path: Path, text: str) -> list[object]:
    """A whole file that is one list."""
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"not valid JSON: {error.msg} at column {error.colno}", path=path, line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot be read: {error}", path=path) from error
    return cast(list[object], items)


def _table_records(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table of text under their column names; the number is that of a row's last line.

    Raises:
        DataError: two columns have one name, or a row has another number of cells than there are columns.
    """
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader((line for _, line in text_lines(path)), delimiter=delimiter, strict=True)
    try:
        columns = next(reader, None)
        if columns is None:
            return
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise DataError(f"two columns are called {twice[0]!r}", path=path, line=1)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(columns):
                message = f"expected {len(columns)} cells ({', '.join(columns)}), found {len(cells)}"
                raise DataError(message, path=path, line=reader.line_num)
            yield reader.line_num, dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"not a readable table: {error}", path=path, line=reader.line_num) from error


def _parquet_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a Parquet file, a batch at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            records = (record for batch in table.iter_batches() for record in batch.to_pylist())
            yield from enumerate(records, start=1)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a readable Parquet file: {error}", path=path) from error


def digest_of(paths: Iterable[Path]) -> str:
    """``sha256:`` and the sum of one file's bytes; of several files, the sum of their sums in order."""
    sums = []
    for path in paths:
        with path.open("rb") as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
    return "sha256:" + (sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest())
