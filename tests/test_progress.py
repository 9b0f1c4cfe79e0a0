"""Progress: a bar on a terminal, lines elsewhere, silence on request."""

import os
import pty
import subprocess
import sys

import pytest

from preflab.progress import progress

WORK = """
from preflab.progress import progress
with progress("work", 4, "steps", 1) as advance:
    for _ in range(3):
        advance(note="loss 0.5")
"""


def test_without_a_terminal_a_line_gives_count_rate_time_left_and_note(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work", 4, "steps", 1) as advance:
        for _ in range(3):
            advance(note="loss 0.5")
    said = capsys.readouterr().err
    assert "4/4 steps" in said
    assert "/s  left 0:00  loss 0.5" in said


def test_while_nothing_moves_the_time_left_is_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 11.0, 12.0])
    monkeypatch.setattr("preflab.progress.time.monotonic", lambda: next(clock))
    with progress("work", 4, "steps") as advance:
        advance(0, note="waiting for 3 answers")
    assert "left ?  waiting for 3 answers" in capsys.readouterr().err


def test_a_quiet_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work", 4, "steps", quiet=True) as advance:
        advance(2)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_bar_is_drawn() -> None:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", WORK], stderr=theirs, check=True, timeout=60)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:  # the terminal is closed and read empty
        pass
    os.close(ours)
    assert b"4/4" in said
    assert b"loss 0.5" in said
