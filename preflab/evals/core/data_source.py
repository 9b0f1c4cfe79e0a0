"""Where suites find their records: files by name in a folder, a file named for a suite, a set on the hub.

Published sets come as JSON lines, JSON, Parquet, CSV or TSV. What cannot be used is counted with the line of the
first; what is not of the format at all ends the reading with the file, the line and the field.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as packaged_files
from pathlib import Path

from preflab.data.sources.files import LocatedRecord, digest_of, holds_records, read_records
from preflab.data.sources.hub import read_hub_set
from preflab.data.sources.record import is_unicode
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused
from preflab.evals.core.items import Item, Items


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A folder with data sets, or files by suite."""

    folder: Path | None = None
    """Searched with its subfolders."""
    paths: Mapping[str, Path] = field(default_factory=dict)
    """Suite -> a file or folder of its own."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """Suite -> the split to read, where not its default one; see ``Suite.splits``."""

    def find(self, suite: str, names: Sequence[str], *, all_of_them: bool = False) -> list[Path]:
        """The files of a suite, in order of their names.

        Args:
            names        patterns of file names, the likeliest first; the first that is there is taken.
            all_of_them  take the files of every pattern.

        Raises:
            DataError: none is there.
        """
        named_path = self.paths.get(suite)
        if named_path is not None and named_path.is_file():
            return [named_path]
        root = self.folder if named_path is None else named_path
        paths: list[Path] = []
        if root is not None:
            if not root.is_dir():
                raise DataError("no such file or folder", path=root)
            for name in names:
                paths += sorted(path for path in root.rglob(name) if path not in paths and _is_readable(path))
                if paths and not all_of_them:
                    break
        if not paths:
            searched = "no folder of data was given" if root is None else f"{root} and its subfolders hold none"
            raise DataError(
                f"suite {suite} needs a file called {' or '.join(names)}; {searched}. --data FOLDER says where data "
                f"sets lie, --data {suite}=FILE names this one; docs/evals.md says where each is published"
            )
        return paths

    def records(self, suite: str, names: Sequence[str], *, hub: str = "", all_of_them: bool = False) -> "SourceRecords":
        """The records of a suite's files, or of its set on the hub where no folder was given.

        Args:
            hub  ``owner/name`` or ``owner/name/configuration`` and, behind a colon, the split.
        """
        if hub and self.folder is None and suite not in self.paths:
            repository, _, split = hub.partition(":")
            owner, name, *config = repository.split("/", 2)
            try:
                records, digest = read_hub_set(f"{owner}/{name}", split or None, *config)
            except DataError as error:
                hint = f"--data FOLDER reads files instead (suite {suite}: {' or '.join(names)})"
                raise DataError(f"{error.message}. {hint}", path=error.path) from error
            return SourceRecords(records=records, digest=digest, sources=(hub,))
        paths = self.find(suite, names, all_of_them=all_of_them)
        return SourceRecords(records=_all_records(paths), digest=digest_of(paths), sources=tuple(map(str, paths)))

    def packaged_records(self, name: str) -> "SourceRecords":
        """Records that come with the package: ``preflab/evals/starter/<name>``."""
        path = Path(str(packaged_files("preflab.evals") / "starter" / name))
        return SourceRecords(records=read_records(path), digest=digest_of([path]), sources=(f"starter/{name}",))


@dataclass(frozen=True, kw_only=True)
class SourceRecords:
    """Records with the file and line that each came from."""

    records: Iterator[LocatedRecord]
    digest: str
    sources: Sequence[str]

    def items(self, read: Callable[[Record], Item | None]) -> Items:
        """Every record as an item.

        Args:
            read  a record -> an item; None for a record that is not for this suite (another split, say); raises
                  RecordRefused for content that cannot be used.

        Raises:
            DataError: a record is not of the format, or none could be used.
        """
        items: list[Item] = []
        refused, first, ids = Counter[str](), dict[str, str](), set[str]()
        for entry in self.records:
            try:
                if not _is_text(entry.record):
                    raise RecordRefused("a text holds half of a surrogate pair, which is no character")
                item = read(entry.record)
                if item is None:
                    continue
                if item.id in ids:
                    raise RecordRefused("its id stands in the data twice", field="id")
                if not item.id:
                    raise RecordRefused("its id is empty", field="id")
            except RecordRefused as error:
                refused[error.message] += 1
                first.setdefault(error.message, f"{entry.path}:{entry.number}")
            except DataError as error:
                raise error.with_location(entry.path, entry.number) from error
            else:
                ids.add(item.id)
                items.append(item)
        if not items:
            why = "; ".join(f"{n} refused: {reason}" for reason, n in refused.items()) or "no record is for this suite"
            raise DataError(f"no question could be used: {why}", path=", ".join(self.sources))
        return Items(items=items, digest=self.digest, sources=self.sources, refused=dict(refused), first_refused=first)


def _is_text(value: object) -> bool:
    """Whether all strings in a record can be written as UTF-8."""
    if isinstance(value, str):
        return is_unicode(value)
    if isinstance(value, Mapping):
        return all(_is_text(part) for part in value.values())
    return all(_is_text(part) for part in value) if isinstance(value, list | tuple) else True


def _is_readable(path: Path) -> bool:
    return path.is_file() and holds_records(path)


def _all_records(paths: Sequence[Path]) -> Iterator[LocatedRecord]:
    for path in paths:
        yield from read_records(path)
