"""A finished run on a tiny random model, for all tests of the recipe."""

from pathlib import Path

import pytest

from tests.killing import Nursery

RECIPE = "ganguli2023_self_correction"
SMALL = ["run", RECIPE, "--scale", "smoke", "--quiet", "--set", "conditions=[q, if, cot, match]",
         "--set", "paraphrases=[1]", "--set", "students=1", "--set", "sentences=12"]  # fmt: skip


@pytest.fixture(scope="package")
def finished(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkpoint; then one of more steps is added, and one that says to be larger: the same weights all."""
    home = tmp_path_factory.mktemp("self")
    arguments = [*SMALL, "--runs", str(home), "--name", "r"]
    nursery.run(arguments, home / "first.txt")
    three = "checkpoints=[tiny@steps=0, tiny@steps=50, tiny@size=5B@steps=50]"
    nursery.run([*arguments, "--set", three], home / "second.txt")
    return home / "r"
