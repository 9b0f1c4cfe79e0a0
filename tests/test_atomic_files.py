"""Files that are whole or not there."""

import errno
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflab.atomic_files import (
    append_line,
    complete_lines,
    disk_errors,
    json_text,
    read_json,
    write_atomically,
    write_json,
)
from preflab.errors import RunError


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


@given(st.binary(max_size=60))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_any_bytes_the_complete_lines_stay_and_reading_twice_is_reading_once(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    lines = complete_lines(path)
    stays = content[: content.rfind(b"\n") + 1]
    assert path.read_bytes() == stays and lines == stays.splitlines()
    assert complete_lines(path) == lines


def test_json_is_written_in_one_piece_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    value = {"ä": [1, 2.5, None, True], "b": {"c": "\u2028"}}
    write_json(path, value)
    assert read_json(path) == value
    assert path.read_text("utf-8").startswith('{\n "ä"')  # readable: one key a line, letters as they are
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file; is this a run folder?"),
        (b"{", "damaged"),
        (b"\xff", "damaged"),
        (b"[1]", "expected a JSON object, found list"),
        (b"null", "expected a JSON object, found NoneType"),
    ],
)
def test_json_that_is_none_is_refused_by_its_path(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=rf"a\.json: {complaint}"):
        read_json(path)


class SafetensorError(Exception):
    """As safetensors raises it: no OSError, with the system's words in it."""


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full. What was finished is kept"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), r"cannot be written \(Permission denied\)"),
        (SafetensorError("odd"), r"cannot be written \(odd\)"),
        (RunError("as it was"), "as it was"),
    ],
)
def test_a_failing_disk_is_explained(error: Exception, complaint: str) -> None:
    with pytest.raises(RunError, match=complaint), disk_errors(Path("a.bin")):
        raise error


def test_a_fault_of_ours_is_not_the_disks() -> None:
    with pytest.raises(KeyError), disk_errors(Path("a.bin")):
        raise KeyError("x")


def test_eight_that_write_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path, contents = tmp_path / "a.bin", [bytes([n]) * 5000 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(path, content), contents * 3))
    assert path.read_bytes() in contents
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


NUMBERS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(NUMBERS)
def test_json_holds_no_number_that_json_has_not(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    def expected(part: Any) -> Any:
        if isinstance(part, float):
            return part if math.isfinite(part) else None
        if isinstance(part, dict):
            return {key: expected(inner) for key, inner in part.items()}
        return [expected(inner) for inner in part] if isinstance(part, list) else part

    assert json.loads(json_text(value), parse_constant=refuse) == expected(value)


def test_options_reach_the_writer_and_tuples_are_lists() -> None:
    assert json_text({"ä": (math.nan, 1)}, ensure_ascii=False, indent=None) == '{"ä": [null, 1]}'
