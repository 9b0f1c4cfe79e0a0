"""The house's own rules: no import rings, small folders, mirrored tests, names that say what they hold."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "preflab"
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({file.parent for file in FILES})

MOST_FILES = 12
FEWEST_LINES = 25
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
CONTENT_FREE = frozenset(
    [
        "own", "found", "told", "one", "seen", "kept", "done", "known",
        "given", "mine", "theirs", "what", "words", "said", "says", "who",
        "whom", "way", "here", "there", "together", "rest", "whole", "wanted",
        "asked", "place", "made", "how", "those", "others", "every",
    ]
)  # fmt: skip
"""Names that say nothing of what they hold."""


def dotted(file: Path) -> str:
    """``preflab/data/rows.py`` -> ``preflab.data.rows``; a package is named by its folder."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(file): file for file in FILES}


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


# imports -------------------------------------------------------------------------------------------------


def imported_modules(file: Path) -> set[str]:
    """Modules of the package that a file imports anywhere: at its top, in functions, under ``TYPE_CHECKING``."""
    names: set[str] = set()
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                names.add(submodule if submodule in MODULES else node.module)
    return {name for name in names if name in MODULES} - {dotted(file)}


def rings(edges: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for successor in sorted(edges.get(node, ())):
            if successor not in index:
                visit(successor)
                low[node] = min(low[node], low[successor])
            elif successor in stack:
                low[node] = min(low[node], index[successor])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                components.append(sorted(component))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return components


def test_modules_import_one_another_in_no_ring() -> None:
    assert rings({name: imported_modules(file) for name, file in MODULES.items()}) == []


def test_a_ring_is_found() -> None:
    assert rings({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_a_recipe_imports_what_is_common_and_no_other_recipe() -> None:
    def source_of(name: str) -> str | None:
        parts = name.split(".")
        return parts[2] if parts[:2] == ["preflab", "recipes"] and len(parts) > 2 else None

    for name, file in MODULES.items():
        source = source_of(name)
        allowed = {None, source, "common"}
        if source is not None:
            foreign = {other for other in imported_modules(file) if source_of(other) not in allowed}
            assert not foreign, (
                f"{name} imports {sorted(foreign)}; what recipes share belongs in preflab.recipes.common"
            )


# sizes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_is_small_enough_to_be_read_at_a_glance(folder: Path) -> None:
    names = [file.name for file in folder.glob("*.py") if not file.name.startswith("__")]
    assert len(names) <= MOST_FILES, f"{len(names)} files; give some a folder of their own: {sorted(names)}"


def test_no_file_is_a_fragment_or_too_long() -> None:
    lines = {name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in MODULES.items()}
    fragments = {
        n: k for n, k in lines.items() if k < FEWEST_LINES and MODULES[n].name not in ("__init__.py", "__main__.py")
    }
    assert fragments.keys() <= FRAGMENTS.keys(), fragments
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


FRAGMENTS = {
    "preflab.bridges.inspect_registry": "an entry point that Inspect imports by its name",
    "preflab.data.store.migrations.env": "alembic's own file name",
}
"""Short files, and why each stands alone."""


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_next_to_no_function_is_long() -> None:
    lengths = [(f"{name}:{function}", lines) for name, file in MODULES.items() for function, lines in functions(file)]
    long = sorted(function for function, lines in lengths if lines > MOST_FUNCTION_LINES)
    assert len(long) <= 0.002 * len(lengths), long


# tests ---------------------------------------------------------------------------------------------------


def mirror(file: Path) -> Path:
    """The test file of a module: ``preflab/data/rows.py`` -> ``tests/data/test_rows.py``."""
    relative = file.relative_to(PACKAGE)
    return ROOT / "tests" / relative.with_name(f"test_{relative.name}")


def test_every_module_has_a_mirrored_test_or_a_reason() -> None:
    modules = {name: file for name, file in MODULES.items() if file.name not in ("__init__.py", "__main__.py")}
    missing = {name for name, file in modules.items() if not mirror(file).exists()}
    assert missing - TESTED_ELSEWHERE.keys() == set()
    assert TESTED_ELSEWHERE.keys() <= missing, "these have a test of their own now, or are gone: take them off the list"


TESTED_ELSEWHERE = {
    "preflab.bridges.inspect_registry": "six lines that Inspect imports; tests/bridges/test_inspect_tasks.py runs them",
    "preflab.data.store.migrations.env": "alembic's own file; every test of the store runs it",
    "preflab.data.store.migrations.versions.v0001_first": "tests/data/store/test_schema.py compares what it makes",
}
"""Module -> why it has no test file of its own, and which one tests it."""


# names ---------------------------------------------------------------------------------------------------


def assigned_names(file: Path) -> Iterator[str]:
    """Every name that an assignment, a loop, ``with``, a comprehension or a parameter binds."""
    for node in ast.walk(parsed(file)):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr | ast.For | ast.comprehension):
            targets = [node.target]
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            targets = [node.optional_vars]
        elif isinstance(node, ast.arg):
            yield node.arg
        for target in targets:
            yield from (
                name.id for name in ast.walk(target) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            )


ALLOWANCE: dict[str, int] = {}
"""Folder -> content-free names that still stand there. Only ever lowered; a folder that is not listed has none."""


def test_names_say_what_they_hold() -> None:
    counts: Counter[str] = Counter()
    for file in FILES:
        folder = "/".join(file.parent.relative_to(PACKAGE).parts) or "."
        counts[folder] += sum(name in CONTENT_FREE for name in assigned_names(file))
    over = {folder: count for folder, count in counts.items() if count > ALLOWANCE.get(folder, 0)}
    assert over == {}, "rename them by what they hold, in the field's words"
    loose = {folder: count for folder, count in ALLOWANCE.items() if counts[folder] < count}
    assert loose == {}, "fewer stand there now: lower the allowance to what is counted"
