"""A run to look at, and variables that stay in one test."""

from pathlib import Path

import pytest

from tests.cli.commands import ALIGN, preflab, write_comparisons


@pytest.fixture(autouse=True)
def _variables_stay_in_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line sets for other libraries, it finds set already."""
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")
    monkeypatch.setenv("HF_HUB_VERBOSITY", "error")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with comparisons and a finished run ``r``."""
    home = tmp_path_factory.mktemp("home")
    write_comparisons(home / "small.jsonl")
    done = preflab(*ALIGN, cwd=home)
    assert done.returncode == 0, done.stderr
    (home / "out.txt").write_text(done.stdout)
    (home / "err.txt").write_text(done.stderr)
    return home
