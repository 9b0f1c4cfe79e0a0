"""Files that are whole or not there."""

import os
from pathlib import Path

import pytest

from preflab.atomic_files import append_line, complete_lines, write_atomically


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    assert write_atomically(path, b"one") == path and path.read_bytes() == b"one"
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert [found.name for found in path.parent.iterdir()] == ["b.bin"]  # nothing unfinished is left


def test_what_was_there_stays_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_atomically(tmp_path / "b.bin", b"one")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"two")
    assert path.read_bytes() == b"one" and len(list(tmp_path.iterdir())) == 1


def test_lines_that_were_added_are_read_back_without_one_that_a_kill_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert complete_lines(path) == [] and not path.exists()
    append_line(path, "one")
    append_line(path, "zwölf")
    with path.open("ab") as file:
        file.write(b"thr")
    assert complete_lines(path) == [b"one", "zwölf".encode()]
    assert path.read_bytes() == "one\nzwölf\n".encode()  # so that what is added next begins a line
