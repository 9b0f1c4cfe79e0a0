"""A finished run of the main job, for all tests that look at one."""

from pathlib import Path

import pytest

from tests.killing import OFTEN
from tests.recipes.align.command import NO_NETWORK, SMOKE, run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One unbroken smoke run, with sockets refused and a checkpoint after every step."""
    home = tmp_path_factory.mktemp("unbroken")
    process = run(home, *SMOKE, before=NO_NETWORK + OFTEN)
    assert process.returncode == 0, process.stderr
    return home / "runs" / "r"
