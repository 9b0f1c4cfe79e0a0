"""A finished run of the recipe, for all tests that look at one."""

from pathlib import Path

import pytest

from tests.killing import Nursery
from tests.recipes.rafailov2023_dpo.command import SMALL


@pytest.fixture(scope="session")
def finished(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A held-out preference model, SFT first, DPO."""
    home = tmp_path_factory.mktemp("dpo")
    nursery.run([*SMALL, "--set", "sft_first=true", "--runs", str(home), "--name", "r"], home / "out.txt")
    return home / "r"
