"""Which recipes there are, found without importing them, so that help and lists stay fast."""

import ast
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError

FOLDER = Path(__file__).parents[1] / "recipes"
RENAMED = {"dpo": "rafailov2023_dpo", "online": "bai2022_online"}
"""Earlier name -> name; the earlier one still starts the recipe."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A folder of `preflab.recipes` whose ``__init__`` has ``SCALES``, ``main``, ``write_report`` and ``summarise``."""

    name: str
    """Its path below `preflab.recipes`, joined by underscores."""
    module: str
    summary: str
    """First line of its docstring."""
    scales: tuple[str, ...]

    def load(self) -> ModuleType:
        """The package itself, with all that it needs."""
        return import_module(self.module)


def recipes() -> dict[str, Recipe]:
    """Every recipe by name."""
    candidates = (_read(path) for path in sorted(FOLDER.rglob("__init__.py")))
    return {recipe.name: recipe for recipe in candidates if recipe is not None}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name, or of what it is called now.

    Raises:
        ConfigError: there is none.
    """
    by_name = recipes()
    recipe = by_name.get(RENAMED.get(name, name))
    if recipe is None:
        names = list(by_name)
        suggestion = did_you_mean(name, names) or f"; known are {', '.join(names)}"
        raise ConfigError(f"unknown recipe {name!r}{suggestion}")
    return recipe


def _read(path: Path) -> Recipe | None:
    """The recipe in a package, if it is one; its scales stand in ``__init__.py`` or in ``config.py`` beside it."""
    package = ast.parse(path.read_text(encoding="utf-8"))
    if not any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in package.body):
        return None
    config = path.with_name("config.py")
    scales = _scales(package) or (_scales(ast.parse(config.read_text(encoding="utf-8"))) if config.exists() else None)
    if scales is None:
        return None
    parts = path.parent.relative_to(FOLDER).parts
    summary = (ast.get_docstring(package) or "").split("\n")[0]
    return Recipe("_".join(parts), ".".join(("preflab", "recipes", *parts)), summary, scales)


def _scales(module: ast.Module) -> tuple[str, ...] | None:
    """The keys of ``SCALES``, where the module assigns it a mapping."""
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        is_scales = any(isinstance(target, ast.Name) and target.id == "SCALES" for target in targets)
        if is_scales and isinstance(value := getattr(node, "value", None), ast.Dict):
            return tuple(str(key.value) for key in value.keys if isinstance(key, ast.Constant))
    return None
