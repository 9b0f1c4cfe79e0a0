"""A finished run of the recipe, for all tests that look at one."""

from pathlib import Path

import pytest

from tests.killing import Nursery
from tests.recipes.sft.command import SMALL


@pytest.fixture(scope="session")
def finished(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Comparisons' best replies, learned from."""
    home = tmp_path_factory.mktemp("sft")
    nursery.run([*SMALL, "--runs", str(home), "--name", "r"], home / "out.txt")
    return home / "r"
