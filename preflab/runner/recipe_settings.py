"""What a recipe can be set to, read from the source of its ``Config``: help must not wait for torch.

A setting's help is its field's docstring; its type and default are the field's. Scales are read as far as they are
written with `dataclasses.replace` and literals, which all recipes do.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from preflab.conversion import did_you_mean
from preflab.errors import ConfigError
from preflab.runner.catalogue import FOLDER, Recipe

ROOT = FOLDER.parents[1]
"""Where ``preflab.recipes`` is found as ``preflab/recipes``."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a recipe's config, or of a config inside it."""

    name: str
    """Dotted, as ``--set`` takes it."""
    help: str
    """The field's docstring; empty where it has none."""
    type: str
    """The annotation, as it is written."""
    choices: tuple[str, ...]
    """Where the type is a ``Literal`` of strings."""
    default: str | None
    """The default as Python writes it; None where the config that holds it has to be made (``field(...)``, calls)."""
    by_scale: tuple[tuple[str, str], ...]
    """Scale and value, where a scale differs from the default."""


def recipe_settings(recipe: Recipe) -> list[Setting]:
    """The settings of a recipe in the order of its config; those that recipes share in a config stand one by one."""
    _, config = _find(_path_of(recipe.module), "Config")
    return [setting_named(recipe, name) for name in _names(config)]


def setting_named(recipe: Recipe, name: str) -> Setting:
    """One setting by its dotted name.

    Raises:
        ConfigError: the recipe has no such setting.
    """
    _, config = _find(_path_of(recipe.module), "Config")
    parts = name.split(".")
    outer_value: ast.expr | None = None
    for position, part in enumerate(parts[:-1]):
        field = _field(config, part, recipe, name)
        outer_value = outer_value or _argument(_factory(field.node.value), parts[position + 1 :])
        _, config = _find(field.home, _class_name(field.node.annotation))
    field = _field(config, parts[-1], recipe, name)
    default = _default(field.home, outer_value or field.node.value)
    scales = _scales(_path_of(recipe.module))
    values = ((scale, _value_in_scale(function, scales, parts)) for scale, function in scales.items())
    return Setting(
        name=name,
        help=field.help,
        type=ast.unparse(field.node.annotation),
        choices=tuple(_choices(field.home, field.node.annotation)),
        default=default,
        by_scale=tuple((scale, value) for scale, value in values if value is not None and value != default),
    )


# classes and their fields --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Field:
    """A field and the file that its annotation is to be understood in."""

    home: Path
    node: ast.AnnAssign
    help: str


@dataclass(frozen=True, slots=True)
class _Class:
    home: Path
    node: ast.ClassDef


@lru_cache(maxsize=256)
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _path_of(module: str) -> Path:
    """The file of a module of this package."""
    base = ROOT.joinpath(*module.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


def _find(path: Path, name: str) -> tuple[Path, _Class]:
    """The class of that name as a file sees it: defined there, or imported."""
    for node in _parse(path).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return path, _Class(path, node)
    source = _imported_from(path, name)
    if source is None:
        raise ConfigError(f"{path}: no class {name} to read settings from")
    return _find(_path_of(source), name)


def _imported_from(path: Path, name: str) -> str | None:
    """The module that a file imports a name from."""
    for node in _parse(path).body:
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return node.module
    return None


def _fields(config: _Class) -> dict[str, _Field]:
    """Fields by name, those of base classes first."""
    fields: dict[str, _Field] = {}
    for base in config.node.bases:
        if isinstance(base, ast.Name):
            fields |= _fields(_find(config.home, base.id)[1])
    body = config.node.body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            docstring = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                docstring = re.sub(r"\s+", " ", str(after.value.value)).strip()
            fields[node.target.id] = _Field(config.home, node, docstring)
    return fields


def _names(config: _Class) -> Iterator[str]:
    """Dotted names, with those inside a config that is defined among the recipes."""
    for name, field in _fields(config).items():
        kind = _class_name(field.node.annotation)
        source = _imported_from(field.home, kind) or ""
        if source.startswith("preflab.recipes.") and isinstance(field.node.value, ast.Call):
            _, nested = _find(_path_of(source), kind)
            yield from (f"{name}.{inner}" for inner in _fields(nested))
        else:
            yield name


def _field(config: _Class, part: str, recipe: Recipe, name: str) -> _Field:
    fields = _fields(config)
    if part not in fields:
        raise ConfigError(f"recipe {recipe.name} has no setting {name!r}{did_you_mean(part, list(fields))}")
    return fields[part]


def _class_name(annotation: ast.expr) -> str:
    """``X`` of ``X`` and of ``X | None``."""
    return ast.unparse(annotation).split(" | ")[0]


def _choices(home: Path, annotation: ast.expr) -> Iterator[str]:
    """The strings of a ``Literal``, written there or under a name of its own."""
    if isinstance(annotation, ast.BinOp):
        yield from _choices(home, annotation.left)
    elif isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        options = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        yield from (str(option.value) for option in options if isinstance(option, ast.Constant))
    elif isinstance(annotation, ast.Name):
        for node in _parse(home).body:
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == annotation.id for target in node.targets):
                yield from _choices(home, node.value)
        source = _imported_from(home, annotation.id)
        if source is not None and source.startswith("preflab."):
            yield from _choices(_path_of(source), annotation)


def _factory(value: ast.expr | None) -> ast.expr | None:
    """``X(...)`` of ``field(default_factory=lambda: X(...))``."""
    factory = value.keywords[0].value if isinstance(value, ast.Call) and value.keywords else None
    return factory.body if isinstance(factory, ast.Lambda) else None


def _default(home: Path, value: ast.expr | None) -> str | None:
    """A default as text; a name is looked up where it is defined."""
    if value is None or isinstance(value, ast.Call):
        return None
    if isinstance(value, ast.Name):
        for node in _parse(home).body:
            if isinstance(node, ast.Assign) and any(ast.unparse(target) == value.id for target in node.targets):
                return _default(home, node.value)
        source = _imported_from(home, value.id)
        return value.id if source is None else _default(_path_of(source), value)
    return _literal(value) or ast.unparse(value)


def _literal(value: ast.expr | None) -> str | None:
    """A literal as Python prints it; None of anything else."""
    if value is None:
        return None
    try:
        return repr(ast.literal_eval(value))
    except ValueError:
        return None


# scales --------------------------------------------------------------------------------------------------


def _scales(path: Path) -> dict[str, ast.FunctionDef]:
    """The function of every scale, where it is defined beside ``SCALES``."""
    for node in _parse(path).body:
        value = getattr(node, "value", None)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(value, ast.Dict) and any(isinstance(t, ast.Name) and t.id == "SCALES" for t in targets):
            functions = {n.name: n for n in _parse(path).body if isinstance(n, ast.FunctionDef)}
            pairs = zip(value.keys, value.values, strict=True)
            return {
                str(key.value): functions[maker.id]
                for key, maker in pairs
                if isinstance(key, ast.Constant) and isinstance(maker, ast.Name) and maker.id in functions
            }
    source = _imported_from(path, "SCALES")
    return {} if source is None else _scales(_path_of(source))


def _value_in_scale(function: ast.FunctionDef, scales: dict[str, ast.FunctionDef], parts: list[str]) -> str | None:
    """What a scale sets a setting to, itself or by the scale it starts from; None where it leaves the default."""
    calls = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    if len(calls) != 1 or not isinstance(calls[0], ast.Call):
        return None
    value = _argument(calls[0], parts)
    is_spread = any(keyword.arg is None for keyword in calls[0].keywords)  # **more: what is in it is not known
    if value is not None or is_spread or not calls[0].args:
        return _literal(value)
    start: ast.expr = calls[0].args[0]
    if isinstance(start, ast.Name):
        bound = [n.value for n in function.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == start.id]
        start = bound[0] if bound else start
    if not isinstance(start, ast.Call):
        return None
    base = next((f for f in scales.values() if f.name == ast.unparse(start.func)), None)
    return None if base is None else _value_in_scale(base, scales, parts)


def _argument(call: ast.expr | None, parts: list[str]) -> ast.expr | None:
    """The expression of ``model.policy`` in ``replace(x, model=replace(y, policy=...))``."""
    if not isinstance(call, ast.Call):
        return None
    value = next((keyword.value for keyword in call.keywords if keyword.arg == parts[0]), None)
    return value if len(parts) == 1 or value is None else _argument(value, parts[1:])
