"""Which recipes there are, found without importing them, so that help and lists stay fast."""

import ast
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from preflab.errors import ConfigError
from preflab.settings import did_you_mean

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """A file of this folder that has ``SCALES`` and ``main(config, run)``."""

    name: str
    summary: str
    """First line of its docstring."""
    scales: tuple[str, ...]

    def load(self) -> ModuleType:
        """The module itself, with all that it needs."""
        return import_module(f"preflab.recipes.{self.name}")

    def companion(self, what: str) -> ModuleType:
        """The file ``<recipe>_<what>.py`` beside it: ``report``, ``summary`` or ``chat``.

        Raises:
            ConfigError: there is none.
        """
        if not (FOLDER / f"{self.name}_{what}.py").is_file():
            raise ConfigError(f"recipe {self.name} has no {what}")
        return import_module(f"preflab.recipes.{self.name}_{what}")


def recipes() -> dict[str, Recipe]:
    """Every recipe by name."""
    found = (_read(path) for path in sorted(FOLDER.glob("*.py")))
    return {recipe.name: recipe for recipe in found if recipe is not None}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ConfigError: there is none.
    """
    path = FOLDER / f"{name}.py"
    found = _read(path) if name.isidentifier() and path.is_file() else None
    if found is None:
        known = list(recipes())
        near = did_you_mean(name, known) or f"; known are {', '.join(known)}"
        raise ConfigError(f"unknown recipe {name!r}{near}")
    return found


def _read(path: Path) -> Recipe | None:
    """The recipe in a file, if it is one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    has_main = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(target, ast.Name) and target.id == "SCALES" for target in targets)
        if has_main and named and isinstance(value := getattr(node, "value", None), ast.Dict):
            scales = tuple(str(key.value) for key in value.keys if isinstance(key, ast.Constant))
            return Recipe(path.stem, (ast.get_docstring(tree) or "").split("\n")[0], scales)
    return None
