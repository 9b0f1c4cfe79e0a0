"""A finished run of the recipe, for all tests that look at one."""

from pathlib import Path

import pytest

from tests.killing import Nursery
from tests.recipes.bai2022_online.command import SMALL


@pytest.fixture(scope="session")
def finished(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds and a last one, judged by the run itself.

    People's pseudonyms and what the store draws are random: which policies answer a turn, and so the choices, differ
    from run to run. Tests of it may rest on what holds for every draw, and on nothing else.
    """
    home = tmp_path_factory.mktemp("online")
    nursery.run([*SMALL, "--set", "best_of=2", "--runs", str(home)], home / "out.txt")
    return home / "r"
