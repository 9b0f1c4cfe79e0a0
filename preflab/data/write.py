"""Comparisons to a file, in our own format or another's."""

import gzip
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from preflab.atomic_files import json_text
from preflab.data.comparison import Comparison
from preflab.data.sources import get_source
from preflab.data.sources.source import Source
from preflab.errors import ConfigError, DataError, RecordRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSummary:
    """What was written where, and what the format could not hold."""

    path: Path
    format: str
    records: int
    left_out: dict[str, int]
    """Reason -> how many pairs (of a comparison that the format cannot hold, all of its pairs) were left out for it."""


def write_comparisons(
    comparisons: Iterable[Comparison], path: str | Path, *, format: str = "preflab_jsonl"
) -> WriteSummary:
    """Write JSON lines, gzipped if the name ends in .gz. The file appears whole or not at all.

    ``preflab_jsonl`` keeps everything. ``hh``, ``trl`` and ``ultrafeedback`` hold a record for each pair; ties,
    and dialogues their notation cannot carry, are left out and counted.

    Raises:
        ConfigError: the format cannot be written, or the name does not end in .jsonl or .jsonl.gz.
        DataError: there is nothing to write.
    """
    path, source = Path(path), get_source(format)
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        raise ConfigError(f"expected a name ending in .jsonl or .jsonl.gz, got {path}")
    text, records, left_out = to_json_lines(comparisons, source)
    if not records:
        raise DataError(
            f"nothing to write; left out: {dict(left_out) or 'nothing, there were no comparisons'}", path=path
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(_gzipped(text.encode()) if path.name.endswith(".gz") else text.encode())
    unfinished.replace(path)
    return WriteSummary(path=path, format=format, records=records, left_out=dict(left_out))


def to_json_lines(comparisons: Iterable[Comparison], source: Source) -> tuple[str, int, Counter[str]]:
    """JSON lines of what the format can hold, how many they are, and a count of the rest."""
    records, left_out = _records(comparisons, source)
    return "".join(json_text(record, ensure_ascii=False) + "\n" for record in records), len(records), left_out


def _records(comparisons: Iterable[Comparison], source: Source) -> tuple[list[dict[str, object]], Counter[str]]:
    """What the format can hold, and a count of the rest."""
    if source.write is None:
        raise ConfigError(f"format {source.name} can be read but not written")
    records: list[dict[str, object]] = []
    left_out: Counter[str] = Counter()
    for comparison in comparisons:
        pairs = list(comparison.pairs())
        ties = 0 if source.keeps_ties else sum(pair.prob_a == 0.5 for pair in pairs)
        try:
            records += list(source.write(comparison))  # all of its records or none
        except RecordRefused as refusal:
            left_out[refusal.message] += len(pairs) - ties
        if ties:
            left_out["a tie"] += ties
    if not source.keeps_ties:  # tables of pairs are read by column, so a column is in every record or in none
        common = set.intersection(*(set(record) for record in records)) if records else set()
        records = [{name: value for name, value in record.items() if name in common} for record in records]
    return records, left_out


def _gzipped(content: bytes) -> bytes:
    """Compressed without a time stamp, so that equal content gives equal files."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as file:
        file.write(content)
    return buffer.getvalue()
