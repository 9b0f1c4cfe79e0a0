"""Change settings by name: a YAML file, or ``key.path=value`` on the command line, over a frozen config.

A setting that does not exist, or a value of another type than the dataclass says, is an error that names
the key and what would have been right. Nothing is ignored.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

from preflab.conversion import MISMATCH, describe, did_you_mean, match, mismatch_error, type_hints, union_members
from preflab.errors import ConfigError
from preflab.safe_yaml import parse_yaml_value, read_yaml_value

C = TypeVar("C")


def apply_overrides(config: C, overrides: Mapping[str, object]) -> C:
    """The config with some settings replaced.

    Args:
        config     a frozen dataclass, with frozen dataclasses inside.
        overrides  ``{"ppo.steps": 3}``, ``{"ppo": {"steps": 3}}`` or both; of two values for a setting the later
                   one counts. A string where the setting is no string is read as YAML: "3", "[0.9, 0.95]", "null".

    Raises:
        ConfigError: a key is unknown, a value has the wrong type, or the config itself refuses it.
    """
    tree: dict[str, object] = {}
    for key, value in overrides.items():
        _insert(tree, key.split("."), value)
    return _replaced(config, tree, "", list(setting_names(config)))


def setting_names(config: object, path: str = "") -> Iterator[str]:
    """Dotted name of every setting, the outer ones first."""
    for field in dataclasses.fields(config):  # type: ignore[arg-type]  # any dataclass
        name, value = f"{path}{field.name}", getattr(config, field.name)
        yield name
        if dataclasses.is_dataclass(value):
            yield from setting_names(value, f"{name}.")


def check_types(config: object) -> None:
    """Whether every setting is of the type that the dataclass says: a known choice, a whole number, a finite number.

    Raises:
        ConfigError: one is not; names it, what was expected and what was found.
    """
    hints = type_hints(type(config))
    for field in dataclasses.fields(config):  # type: ignore[arg-type]  # any dataclass
        value, hint = getattr(config, field.name), hints[field.name]
        converted = value if dataclasses.is_dataclass(value) else match(value, hint, field.name, settings=True)
        if converted is MISMATCH or converted != value:
            raise mismatch_error(value, hint, field.name)


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """``["ppo.steps=3"]`` as overrides; values stay text until the setting's type is known.

    Raises:
        ConfigError: one has no ``=`` or nothing before it.
    """
    overrides: dict[str, object] = {}
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"--set {assignment!r}: expected key=value, for example ppo.steps=12")
        overrides.pop(key.strip(), None)  # so that the later one also stands later
        overrides[key.strip()] = value.strip()
    return overrides


def load_yaml(path: str | Path) -> dict[str, object]:
    """Settings from a YAML file; an empty file holds none.

    Raises:
        ConfigError: the file is missing, is no YAML, holds no mapping, or has a key twice. Says file and line.
    """
    path = Path(path).expanduser()
    return _settings(read_yaml_value(path, "a YAML file of settings"), str(path))


def parse_yaml(text: str, where: str) -> dict[str, object]:
    """Settings from YAML text; an empty one holds none. ``where`` is named in complaints.

    Raises:
        ConfigError: it is no YAML, holds no mapping, or has a key twice. Says the line.
    """
    return _settings(parse_yaml_value(text, where), where)


def _settings(parsed: object, where: str) -> dict[str, object]:
    """The mapping that a file of settings holds; empty where it holds nothing."""
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise ConfigError(f"{where}:1: expected settings as 'key: value' lines, found {_kind(parsed)}")
    return parsed


# one setting ---------------------------------------------------------------------------------------------


def _insert(tree: dict[str, object], parts: Sequence[str], value: object) -> None:
    """Put a value at its place; a mapping joins what is there already."""
    head, tail = parts[0], parts[1:]
    if not tail and not isinstance(value, Mapping):
        tree[head] = value
        return
    inner = tree.get(head)
    if not isinstance(inner, dict):
        inner = tree[head] = {}
    if tail:
        _insert(inner, tail, value)
    elif isinstance(value, Mapping):
        for key, inner_value in value.items():
            _insert(inner, [str(key)], inner_value)


def _replaced(config: C, tree: Mapping[str, object], path: str, all_names: Sequence[str]) -> C:
    """``config`` with the settings of ``tree``; ``path`` is its own dotted name."""
    hints = type_hints(type(config))
    names = [field.name for field in dataclasses.fields(config)]  # type: ignore[arg-type]  # any dataclass
    changed: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{path}{name}"
        if name not in names:
            near = did_you_mean(key, all_names) or f"; known here: {', '.join(names)}"
            raise ConfigError(f"unknown setting {key!r}{near}")
        changed[name] = _converted(value, hints[name], key, getattr(config, name), all_names)
    try:
        return dataclasses.replace(config, **changed)  # type: ignore[type-var]  # any dataclass
    except ConfigError as error:
        raise ConfigError(f"{path.rstrip('.')}: {error}" if path else str(error)) from error


def _converted(value: object, hint: Any, key: str, before: object, all_names: Sequence[str]) -> object:
    """The value as the type of its setting, or a ConfigError."""
    kinds = union_members(hint)
    nested = next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)
    if nested is not None:
        for reading in _readings(value, kinds):
            if isinstance(reading, Mapping):
                inner = before if dataclasses.is_dataclass(before) else _fresh(nested, key)
                return _replaced(inner, reading, f"{key}.", all_names)
    if isinstance(value, Mapping) and not any(get_origin(kind) is dict for kind in kinds):
        inside = next(iter(value), "")
        raise ConfigError(f"unknown setting '{key}.{inside}': {key} is {describe(hint)} and has nothing inside")
    for reading in _readings(value, kinds):
        converted = match(reading, hint, key, settings=True)
        if converted is not MISMATCH:
            return converted
    raise mismatch_error(value, hint, key)


def _fresh(kind: Any, key: str) -> Any:
    """A nested config at its defaults, for one that was None."""
    try:
        return kind()
    except TypeError as error:
        raise ConfigError(f"{key} is not set and {kind.__name__} has no defaults; give all of it") from error


def _readings(value: object, kinds: Sequence[Any]) -> list[object]:
    """What a value may mean: as it is, and a string also as YAML where that is asked for."""
    if not isinstance(value, str):
        return [value]
    if type(None) in kinds and value.lower() in ("null", "none", "~", ""):
        return [None]
    import yaml

    try:
        return [value, yaml.safe_load(value)]
    except yaml.YAMLError:
        return [value]


def _kind(value: object) -> str:
    """What a value is, in words."""
    return "a list" if isinstance(value, list) else f"{value!r:.40}"
