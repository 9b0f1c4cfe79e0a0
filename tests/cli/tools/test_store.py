"""``preflab store``: what it refuses before anything is made."""

from pathlib import Path

import pytest

from preflab.cli import main


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra 'web'")
    store = tmp_path / "store.db"
    assert main(["store", "info", "--store", str(store)]) == 8
    assert str(store) in capsys.readouterr().err
    assert not store.exists()


def test_without_a_command_the_commands_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store"]) == 2
    shown = capsys.readouterr().out
    for command in ("verify", "info", "backup", "restore", "export", "token"):
        assert command in shown
