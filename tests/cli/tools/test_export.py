"""``preflab export``: the run that is meant, the folder that is meant, and every file by a line."""

from pathlib import Path

import pytest

from preflab.bridges import inspect_log
from preflab.cli import main
from tests.bridges.test_inspect_log import finished_run

Calls = list[tuple[Path, Path | None]]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What the bridge was asked for; it answers with two files."""
    calls: Calls = []

    def export(run: Path, out: Path | None) -> list[Path]:
        calls.append((run, out))
        return [run / "one.eval", run / "two.eval"]

    monkeypatch.setattr(inspect_log, "export", export)
    return calls


def test_a_run_is_taken_by_its_folder_and_the_logs_go_where_they_are_sent(tmp_path: Path, exported: Calls) -> None:
    run = finished_run(tmp_path)
    assert main(["export", "inspect", str(run), "--out", str(tmp_path / "logs")]) == 0
    assert exported == [(run, tmp_path / "logs")]


def test_a_run_is_taken_by_its_name_and_every_log_is_printed(
    tmp_path: Path, exported: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished_run(tmp_path / "runs" / "measured")
    assert main(["export", "inspect", "measured", "--runs", str(tmp_path / "runs")]) == 0
    assert exported == [(run, None)]
    assert capsys.readouterr().out.splitlines() == [str(run / "one.eval"), str(run / "two.eval")]


def test_what_is_no_run_is_exit_code_5_and_nothing_is_written(
    tmp_path: Path, exported: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "inspect", "nothing", "--runs", str(tmp_path)]) == 5
    assert "no run 'nothing'" in capsys.readouterr().err
    assert exported == [] and list(tmp_path.iterdir()) == []


def test_without_a_program_the_programs_are_shown_and_another_is_helped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export"]) == 2
    assert "inspect" in capsys.readouterr().out
    assert main(["export", "inspct", "r"]) == 2
    assert "did you mean 'inspect'?" in capsys.readouterr().err
