"""Comparisons from anywhere: one function, which drops nothing in silence."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from itertools import chain
from pathlib import Path

from preflab.data.comparison import Comparison
from preflab.data.sources import get_source, hub, recognise
from preflab.data.sources.columns import ColumnMap, reading_of, unread_columns, unused_columns
from preflab.data.sources.files import SUFFIXES, LocatedRecord, digest_of, holds_records, read_records
from preflab.data.sources.source import Source
from preflab.errors import ConfigError, DataError, RecordRefused

STARTER = "starter"
"""The name of the set that comes with the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedComparisons:
    """What was read, from where, and what was left out and why."""

    comparisons: list[Comparison]
    source: str
    """The name it was asked for by."""
    format: str
    digest: str
    """``sha256:...`` of the files, or ``fingerprint:...`` of a hub data set."""
    records: int
    """How many records were read: those kept and those refused."""
    refused: dict[str, int]
    """Reason -> how many records were refused for it."""
    first_refused: dict[str, str]
    """Reason -> ``path:line`` of the first of them."""
    columns: dict[str, str]
    """Column -> what it was read as, or ``not used`` and what it might be; all that any record has."""

    @property
    def unused(self) -> list[str]:
        """Columns that were not read. None of them changes what a record means, by its name and its content."""
        return unused_columns(self.columns)

    def render(self) -> str:
        """One line for what was kept, one for each reason something was not."""
        lines = [
            f"{self.source} ({self.format}): {self.records - sum(self.refused.values())} of {self.records} records kept"
        ]
        if len(self.comparisons) + sum(self.refused.values()) != self.records:
            lines[0] += f", {len(self.comparisons)} comparisons of them"
        if self.unused:
            lines.append(f"  columns not used: {', '.join(name or '(no name)' for name in self.unused)}")
        lines += [f"  {n} refused: {why}, first at {self.first_refused[why]}" for why, n in self.refused.items()]
        return "\n".join(lines)


def load_comparisons(
    name: str | Path,
    *,
    format: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    columns: Sequence[str] = (),
) -> LoadedComparisons:
    """Read comparisons, whatever they are stored as.

    Args:
        name     ``starter``; a file (.jsonl, .ndjson, .json, .csv, .tsv, any of them with .gz or .zst, .parquet); a
                 folder of such files, or one that ``datasets`` saved; or ``owner/name`` of a data set on the hub.
        format   one of ``sources.SOURCES``; recognised by the first record when not given.
        split    which part of a set that has parts; in a folder of files, those called ``<split>.*`` or ``<split>-*``.
        limit    stop after this many records were kept.
        columns  columns under other names, or left out: ``prompt=instruction``, ``ignore=notes``.

    Records whose content is unusable, or that hold something in a column that would change their meaning and that the
    format does not read, are counted in ``refused``; repeated prompts are kept.

    Raises:
        DataError: nothing is there, a record is not of the format, or every record was refused.
        ConfigError: the format or split is unknown, the limit below one, or ``columns`` not of its form.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    source, column_map = None if format is None else get_source(format), ColumnMap(columns)
    with ExitStack() as stack:
        if name == STARTER:
            packaged = stack.enter_context(as_file(files("preflab.data") / "starter" / "starter.jsonl"))
            if not packaged.is_file():
                raise DataError("the starter set is missing from this installation", path=packaged)
            records, digest = _open_file(packaged, split)
        else:
            records, digest = _open(name, split)
        return _Reading(source, column_map).run(records, str(name), digest, limit)


def _open(name: str | Path, split: str | None) -> tuple[Iterator[LocatedRecord], str]:
    """The records behind a name, and their digest."""
    path = Path(name)
    if path.is_file():
        return _open_file(path, split)
    if path.is_dir():
        return _open_folder(path, split)
    if isinstance(name, Path) or holds_records(path) or not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        raise DataError(
            f"no such file or folder (looked in {Path.cwd()}); expected {STARTER!r}, a file ending in "
            f"{', '.join(SUFFIXES)}, a folder of those, or owner/name of a data set on the hub",
            path=name,
        )
    return hub.read_hub_set(name, split)


def _open_file(path: Path, split: str | None) -> tuple[Iterator[LocatedRecord], str]:
    """One file, which has no splits."""
    if split is not None:
        raise ConfigError(f"{path} is a single file and has no split {split!r}")
    return read_records(path), digest_of([path])


def _open_folder(folder: Path, split: str | None) -> tuple[Iterator[LocatedRecord], str]:
    """All files of records right inside a folder, by name; or a set that ``datasets`` saved there."""
    if hub.is_saved_set(folder):
        return hub.read_saved_set(folder, split), digest_of(sorted(folder.rglob("*.arrow")))
    candidates = sorted(path for path in folder.iterdir() if path.is_file() and holds_records(path))
    if not candidates:
        raise DataError(f"this folder holds no file ending in {', '.join(SUFFIXES)}", path=folder)
    chosen = [path for path in candidates if split is None or re.split(r"[.-]", path.name)[0] == split]
    if not chosen:
        raise ConfigError(
            f"{folder} has no file called {split}.* or {split}-*, only {', '.join(p.name for p in candidates)}"
        )
    return chain.from_iterable(map(read_records, chosen)), digest_of(chosen)


class _Reading:
    """Every record turned into comparisons or a counted refusal."""

    def __init__(self, source: Source | None, column_map: ColumnMap) -> None:
        self.source, self.column_map = source, column_map
        self.comparisons: list[Comparison] = []
        self.refused: Counter[str] = Counter()
        self.first_refused: dict[str, str] = {}
        self.columns: dict[str, str] = {}
        self.n_kept = 0

    def run(self, records: Iterator[LocatedRecord], name: str, digest: str, limit: int | None) -> LoadedComparisons:
        """All records, or until so many were kept.

        Raises:
            DataError: as `load_comparisons`.
        """
        for located in records:
            try:
                self.comparisons += self._comparisons(located)
                self.n_kept += 1
            except RecordRefused as refusal:
                self.refused[refusal.message] += 1
                self.first_refused.setdefault(refusal.message, f"{located.path}:{located.number}")
            except DataError as error:
                raise _with_place(error, located, self.source) from error
            if self.n_kept == limit:
                break
        if self.source is None:
            raise DataError("is empty; expected at least one record", path=name)
        loaded = LoadedComparisons(
            comparisons=self.comparisons,
            source=name,
            format=self.source.name,
            digest=digest,
            records=self.n_kept + self.refused.total(),
            refused=dict(self.refused),
            first_refused=self.first_refused,
            columns=self.columns,
        )
        if not self.comparisons:
            raise DataError(f"nothing usable\n{loaded.render()}", path=name)
        return loaded

    def _comparisons(self, located: LocatedRecord) -> list[Comparison]:
        """What one record holds.

        Raises:
            DataError: it is not of the format.
            RecordRefused: its content cannot be used, or a column that matters would not be read.
        """
        if self.column_map and not self.columns:
            self.column_map.check(located.record)
        record = self.column_map.apply(located.record)
        source = self.source = self.source or recognise(record)
        if not record.keys() <= self.columns.keys():
            readings = reading_of(record, source.reads, sides=source.reads_sides)
            self.columns |= {k: reading for k, reading in readings.items() if k not in self.columns}
        comparisons = source.comparisons(record)
        for name in unread_columns(record, source.reads, sides=source.reads_sides):
            raise RecordRefused(f"column {name!r} holds something that format {source.name} does not read", field=name)
        return [_with_origin(comparison, located) for comparison in comparisons]


def _with_place(error: DataError, located: LocatedRecord, source: Source | None) -> DataError:
    """The error with file, line and what the format holds."""
    expected = "" if source is None else f"; a record of format {source.name} has {source.columns}"
    return DataError(error.message + expected, path=located.path, line=located.number, field=error.field)


def _with_origin(comparison: Comparison, located: LocatedRecord) -> Comparison:
    """The comparison with data set and id filled in where the record named none."""
    origin = comparison.provenance
    dataset, identity = origin.dataset or Path(located.path).name, origin.id or str(located.number)
    return replace(comparison, provenance=replace(origin, dataset=dataset, id=identity))
