"""Plain text, document by document: what pretraining goes on with (Ouyang et al. 2022, PPO-ptx)."""

from collections.abc import Iterator
from pathlib import Path

from preflab.data.sources.files import SUFFIXES, holds_records, read_records, read_text
from preflab.data.sources.record import text
from preflab.errors import DataError

TEXT_SUFFIXES = (".txt", ".txt.gz", ".md")
"""Endings of files that hold one document each."""


def load_texts(path: str | Path) -> Iterator[str]:
    """Documents of a text file (one), of a file of records (their ``text``), or of a folder of either, by name.

    Raises:
        DataError: there is no such file, none in the folder, or one is empty or cannot be read.
    """
    path = Path(path).expanduser()
    endings = ", ".join((*TEXT_SUFFIXES, *SUFFIXES))
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if _holds_text(file)]
        if not files:
            raise DataError(f"holds no text; expected files ending in {endings}", path=path)
        for file in files:
            yield from load_texts(file)
        return
    if not path.is_file() or not _holds_text(path):
        raise DataError(f"is no file of text; expected one ending in {endings}", path=path)
    if not holds_records(path):
        yield _read_document(path)
        return
    for located in read_records(path):
        try:
            document = text(located.record, "text")
        except DataError as error:
            raise error.with_location(located.path, located.number) from error
        if document.strip():
            yield document


def _read_document(path: Path) -> str:
    """A file that is one document."""
    document = read_text(path)
    if not document.strip():
        raise DataError("is empty; expected text", path=path)
    return document


def _holds_text(path: Path) -> bool:
    return holds_records(path) or path.name.lower().endswith(TEXT_SUFFIXES)
