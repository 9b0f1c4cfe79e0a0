"""Records from local files: JSON lines, JSON, either of them gzipped, and Parquet."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

from preflab.data.sources.source import Record
from preflab.errors import DataError

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
"""Endings of the files that hold records."""


@dataclass(frozen=True, slots=True)
class LocatedRecord:
    """A record and its place."""

    record: Record
    path: str
    number: int
    """Line of a file of JSON lines, otherwise the record's number; both from 1."""


def holds_records(path: Path) -> bool:
    """Whether the name ends as a file of records does."""
    return path.name.endswith(SUFFIXES)


def read_records(path: Path) -> Iterator[LocatedRecord]:
    """The records of one file, in order.

    Raises:
        DataError: the file is empty, cannot be read, or breaks off being what its name says.
    """
    if not holds_records(path):
        raise DataError(f"expected a file ending in {', '.join(SUFFIXES)}", path=path)
    numbered = _parquet_records(path) if path.name.endswith(".parquet") else _json_records(path)
    is_empty = True
    for number, record in numbered:
        if not isinstance(record, dict):
            raise DataError(f"expected an object, found {type(record).__name__}", path=path, line=number)
        is_empty = False
        yield LocatedRecord(record, str(path), number)
    if is_empty:
        raise DataError("is empty; expected at least one record", path=path)


def _json_records(path: Path) -> Iterator[tuple[int, object]]:
    """One JSON value a line, or the items of one list."""
    number = 0
    try:
        with open_text(path) as lines:
            for number, line in enumerate(lines, start=1):
                if number == 1 and line.lstrip().startswith("["):
                    yield from enumerate(_json_list(path, line + lines.read()), start=1)
                    return
                if line := line.rstrip():
                    yield number, json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"not valid JSON: {error.msg} at column {error.colno}", path=path, line=number) from error
    except (OSError, EOFError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, or absurdly long numbers
        if isinstance(error, DataError):
            raise
        raise DataError(f"cannot be read: {error}", path=path, line=number + 1) from error


def _json_list(path: Path, text: str) -> list[object]:
    """A whole file that is one list."""
    try:
        return cast(list[object], json.loads(text))
    except json.JSONDecodeError as error:
        raise DataError(f"not valid JSON: {error.msg} at column {error.colno}", path=path, line=error.lineno) from error


def open_text(path: Path) -> TextIOWrapper:
    """A text file, gzipped or not; a byte order mark is skipped."""
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


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
