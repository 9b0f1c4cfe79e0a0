"""Comparisons from anywhere: one function, which drops nothing in silence."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from itertools import chain
from pathlib import Path

from preflab.data.comparison import Comparison
from preflab.data.sources import get_source, hub, recognise
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

    def render(self) -> str:
        """One line for what was kept, one for each reason something was not."""
        lines = [f"{self.source} ({self.format}): {len(self.comparisons)} of {self.records} records kept"]
        lines += [f"  {n} refused: {why}, first at {self.first_refused[why]}" for why, n in self.refused.items()]
        return "\n".join(lines)


def load_comparisons(
    name: str | Path, *, format: str | None = None, split: str | None = None, limit: int | None = None
) -> LoadedComparisons:
    """Read comparisons, whatever they are stored as.

    Args:
        name    ``starter``; a file (.jsonl, .json, either with .gz, .parquet); a folder of such files, or one that
                ``datasets`` saved; or ``owner/name`` of a data set on the hub.
        format  one of ``sources.SOURCES``; recognised by the first record when not given.
        split   which part of a set that has parts; in a folder of files, those called ``<split>.*`` or ``<split>-*``.
        limit   stop after this many comparisons were kept.

    Records whose content is unusable are counted in ``refused``; repeated prompts are kept.

    Raises:
        DataError: nothing is there, a record is not of the format, or every record was refused.
        ConfigError: the format or split is unknown, or the limit below one.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    source = None if format is None else get_source(format)
    with ExitStack() as stack:
        if name == STARTER:
            packaged = stack.enter_context(as_file(files("preflab.data") / "starter" / "starter.jsonl"))
            if not packaged.is_file():
                raise DataError("the starter set is missing from this installation", path=packaged)
            records, digest = _open_file(packaged, split)
        else:
            records, digest = _open(name, split)
        return _read(records, source, str(name), digest, limit)


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


def _read(
    records: Iterator[LocatedRecord], source: Source | None, name: str, digest: str, limit: int | None
) -> LoadedComparisons:
    """Every record turned into a comparison or a counted refusal."""
    comparisons: list[Comparison] = []
    refused: Counter[str] = Counter()
    first_refused: dict[str, str] = {}
    for located in records:
        try:
            if source is None:
                source = recognise(located.record)
            comparisons.append(_with_origin(source.read(located.record), located))
        except RecordRefused as refusal:
            refused[refusal.message] += 1
            first_refused.setdefault(refusal.message, f"{located.path}:{located.number}")
        except DataError as error:
            raise _with_place(error, located, source) from error
        if len(comparisons) == limit:
            break
    if source is None:
        raise DataError("is empty; expected at least one record", path=name)
    loaded = LoadedComparisons(
        comparisons=comparisons,
        source=name,
        format=source.name,
        digest=digest,
        records=len(comparisons) + refused.total(),
        refused=dict(refused),
        first_refused=first_refused,
    )
    if not comparisons:
        raise DataError(f"nothing usable\n{loaded.render()}", path=name)
    return loaded


def _with_place(error: DataError, located: LocatedRecord, source: Source | None) -> DataError:
    """The error with file, line and what the format holds."""
    expected = "" if source is None else f"; a record of format {source.name} has {source.columns}"
    return DataError(error.message + expected, path=located.path, line=located.number, field=error.field)


def _with_origin(comparison: Comparison, located: LocatedRecord) -> Comparison:
    """The comparison with data set and id filled in where the record named none."""
    origin = comparison.provenance
    dataset, identity = origin.dataset or Path(located.path).name, origin.id or str(located.number)
    return replace(comparison, provenance=replace(origin, dataset=dataset, id=identity))
