"""``preflab report``."""

from pathlib import Path

import pytest

from preflab.cli import main
from tests.cli.commands import preflab


def test_a_report_is_written_anew(home: Path) -> None:
    report = home / "runs/r/report.html"
    report.unlink()
    written = preflab("report", "r", cwd=home)
    assert (written.returncode, written.stdout) == (0, "runs/r/report.html\n")
    assert report.is_file()


def test_a_run_that_does_not_exist_is_told_from_those_that_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    assert main(["report", "nothing"]) == 5
    assert "no run 'nothing', neither in runs nor as a path; runs in runs: r" in capsys.readouterr().err
