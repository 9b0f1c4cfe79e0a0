"""Where suites find their questions: files by name in a folder, a file named for a suite, a set on the hub.

Published sets come as JSON lines, JSON, Parquet, CSV or TSV. What cannot be used is counted with the place of the
first; what is not of the format at all ends the reading with the file, the line and the field.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as packaged_files
from pathlib import Path
from typing import TYPE_CHECKING

from preflab.data.sources.files import Found, digest_of, holds_records, open_text, read_records
from preflab.data.sources.hub import hub_set
from preflab.data.sources.record import is_unicode
from preflab.data.sources.source import Record
from preflab.errors import DataError, RecordRefused

if TYPE_CHECKING:
    from preflab.evals.core.suite import Item, Items

TABLES = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where to look."""

    folder: Path | None = None
    """Searched with its subfolders."""
    named: Mapping[str, Path] = field(default_factory=dict)
    """Suite -> a file or folder of its own."""

    def find(self, suite: str, names: Sequence[str], *, all_of_them: bool = False) -> list[Path]:
        """The files of a suite, in order of their names.

        Args:
            names        patterns of file names, the likeliest first; the first that is there is taken.
            all_of_them  take the files of every pattern.

        Raises:
            DataError: none is there.
        """
        own = self.named.get(suite)
        if own is not None and own.is_file():
            return [own]
        where = self.folder if own is None else own
        found: list[Path] = []
        if where is not None:
            if not where.is_dir():
                raise DataError("no such file or folder", path=where)
            for name in names:
                found += sorted(path for path in where.rglob(name) if path not in found and _is_readable(path))
                if found and not all_of_them:
                    break
        if not found:
            place = "no folder of data was given" if where is None else f"{where} and its subfolders hold none"
            raise DataError(
                f"suite {suite} needs a file called {' or '.join(names)}; {place}. --data FOLDER says where data sets "
                f"lie, --data {suite}=FILE names this one; docs/evals.md says where each is published"
            )
        return found

    def records(self, suite: str, names: Sequence[str], *, hub: str = "", all_of_them: bool = False) -> "Records":
        """The records of a suite's files, or of its set on the hub where no folder was given.

        Args:
            hub  ``owner/name`` or ``owner/name/configuration`` and, behind a colon, the split.
        """
        if hub and self.folder is None and suite not in self.named:
            place, _, split = hub.partition(":")
            owner, name, *config = place.split("/", 2)
            try:
                found, digest = hub_set(f"{owner}/{name}", split or None, *config)
            except DataError as error:
                hint = f"--data FOLDER reads files instead (suite {suite}: {' or '.join(names)})"
                raise DataError(f"{error.message}. {hint}", path=error.path) from error
            return Records(found=found, digest=digest, sources=(hub,))
        paths = self.find(suite, names, all_of_them=all_of_them)
        return Records(found=_all_records(paths), digest=digest_of(paths), sources=tuple(map(str, paths)))

    def packaged(self, name: str) -> "Records":
        """Records that come with the package: ``preflab/evals/starter/<name>``."""
        path = Path(str(packaged_files("preflab.evals") / "starter" / name))
        return Records(found=read_records(path), digest=digest_of([path]), sources=(f"starter/{name}",))


@dataclass(frozen=True, kw_only=True)
class Records:
    """Records with their places."""

    found: Iterator[Found]
    digest: str
    sources: Sequence[str]

    def items(self, read: Callable[[Record], "Item | None"]) -> "Items":
        """Every record as an item.

        Args:
            read  a record -> an item; None for a record that is not for this suite (another split, say); raises
                  RecordRefused for content that cannot be used.

        Raises:
            DataError: a record is not of the format, or none could be used.
        """
        from preflab.evals.core.suite import Items

        items: list[Item] = []
        refused, first, seen = Counter[str](), dict[str, str](), set[str]()
        for one in self.found:
            try:
                if not _is_text(one.record):
                    raise RecordRefused("a text holds half of a surrogate pair, which is no character")
                item = read(one.record)
                if item is None:
                    continue
                if item.id in seen:
                    raise RecordRefused("its id stands in the data twice", field="id")
                if not item.id:
                    raise RecordRefused("its id is empty", field="id")
            except RecordRefused as error:
                refused[error.message] += 1
                first.setdefault(error.message, f"{one.path}:{one.number}")
            except DataError as error:
                raise error.at(one.path, one.number) from error
            else:
                seen.add(item.id)
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
        return all(_is_text(own) for own in value.values())
    return all(_is_text(own) for own in value) if isinstance(value, list | tuple) else True


def _is_readable(path: Path) -> bool:
    return path.is_file() and (holds_records(path) or path.suffix in TABLES)


def _all_records(paths: Sequence[Path]) -> Iterator[Found]:
    for path in paths:
        yield from _table_records(path) if path.suffix in TABLES else read_records(path)


def _table_records(path: Path) -> Iterator[Found]:
    """Rows of a CSV or TSV file with a line of heads; the number is that of the row's last line."""
    try:
        with open_text(path) as lines:
            reader = csv.DictReader(lines, delimiter=TABLES[path.suffix])
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(
                        f"expected {len(reader.fieldnames or ())} cells as in the first line, found another number",
                        path=path,
                        line=reader.line_num,
                    )
                yield Found(dict(row), str(path), reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot be read: {error}", path=path) from error
