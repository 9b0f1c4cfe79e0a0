"""Files that are whole or not there, whatever is killed when."""

import contextlib
import errno
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from preflab.errors import RunError


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file in one piece: under another name first, onto the disk, and only then under its own.

    Its folder is made where needed. Several processes may write the same file at once; one of them is the last.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(unfinished, 0o644)
        os.replace(unfinished, path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


def complete_lines(path: Path) -> list[bytes]:
    """Lines of a file that is only ever added to; a last one that a kill cut off is removed. None of no file."""
    content = path.read_bytes() if path.exists() else b""
    lines = content[: content.rfind(b"\n") + 1]
    if len(lines) < len(content):
        os.truncate(path, len(lines))
    return lines.splitlines()


def append_line(path: Path, line: str) -> None:
    """Add a line to a file; it is on the disk when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def json_text(value: Any, **options: Any) -> str:
    """JSON that every reader takes: what is not finite, which JSON cannot write, becomes null.

    Args:
        options  of ``json.dumps``.
    """
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:  # nan or infinite somewhere; or a value that refers to itself, which the next line says
        return json.dumps(_finite(value), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    """The same with None for every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one piece.

    Raises:
        RunError: the disk is full or the file cannot be written.
    """
    with disk_errors(path):
        write_atomically(path, json_text(value, indent=1, ensure_ascii=False).encode("utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; is this a run folder?") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error})") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a failing disk into an error that says what is lost (nothing) and what to do."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if full:  # safetensors raises an error of its own, with the system's words in it
            raise RunError(
                f"{path}: the disk is full. What was finished is kept: "
                "free some space and start the same command again."
            ) from error
        if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":
            raise RunError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error})") from error
        raise


def _sync_folder(folder: Path) -> None:
    """A name is on the disk only when its folder is; systems that open no folders need nothing."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
