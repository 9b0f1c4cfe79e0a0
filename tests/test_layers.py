"""Imports point down the floors, and folders on one floor never import one another."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "preflab"
FLOOR = {
    "errors": 0, "distributed": 0, "checkpoint": 0, "run": 0, "progress": 0, "atomic_files": 0,
    "conversion": 0, "config_overrides": 0, "safe_yaml": 0, "checks": 0,
    "data": 1, "maths": 1, "models": 1,
    "interfaces": 2, "rollouts": 2, "reporting": 2,
    "training": 3, "feedback": 3, "redteam": 3, "grounding": 3, "oversight": 3, "evals": 3, "control": 3,
    "runner": 4, "recipes": 4, "web": 4, "bridges": 4,
    "cli": 5, "__init__": 5, "__main__": 5,
}  # fmt: skip
STEP = {
    "distributed": 1,
    "conversion": 1,
    "checks": 1,
    "config_overrides": 2,
    "safe_yaml": 1,
    "checkpoint": 2,
    "atomic_files": 1,
    "run": 3,
    "rollouts": 1,
    "recipes": 1,
    "bridges": 2,
    "cli": 1,
    "__main__": 2,
}  # progress imports nothing
"""An order within a floor: whatever stands on the ground may use the errors, and ``python -m`` the command line."""


def imported_parts(file: Path) -> set[str]:
    """Names directly under ``preflab.`` that ``file`` imports, wherever in the file."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    froms = [f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]
    return {name.split(".")[1] for name in froms + plain if name.startswith("preflab.")}


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    here = part_of(file)
    for there in imported_parts(file) - {here, "__version__"}:
        down = (FLOOR[there], STEP.get(there, 0)) < (FLOOR[here], STEP.get(here, 0))
        assert down, f"{here} (floor {FLOOR[here]}) may not import {there} (floor {FLOOR[there]})"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_no_import_is_relative(file: Path) -> None:
    """A relative import would escape the test above."""
    nodes = ast.walk(ast.parse(file.read_text()))
    assert not [n.lineno for n in nodes if isinstance(n, ast.ImportFrom) and n.level]


def test_no_part_is_without_a_floor_and_names_are_found_wherever_they_stand(tmp_path: Path) -> None:
    assert {part_of(f) for f in PACKAGE.rglob("*.py")} <= FLOOR.keys()
    file = tmp_path / "planted.py"
    file.write_text("from preflab import models\ndef f():\n    import preflab.recipes.align\n")
    assert imported_parts(file) == {"models", "recipes"}
