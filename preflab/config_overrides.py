"""Change settings by name: a YAML file, or ``key.path=value`` on the command line, over a frozen config.

A setting that does not exist, or a value of another type than the dataclass says, is an error that names
the key and what would have been right. Nothing is ignored.
"""

import dataclasses
import difflib
import math
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from preflab.errors import ConfigError

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


def parse_assignments(assignments: Sequence[str]) -> dict[str, object]:
    """``["ppo.steps=3"]`` as overrides; values stay text until the setting's type is known.

    Raises:
        ConfigError: one has no ``=`` or nothing before it.
    """
    found: dict[str, object] = {}
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"--set {assignment!r}: expected key=value, for example ppo.steps=12")
        found.pop(key.strip(), None)
        found[key.strip()] = value.strip()
    return found


def load_yaml(path: str | Path) -> dict[str, object]:
    """Settings from a YAML file; an empty file holds none.

    Raises:
        ConfigError: the file is missing, is no YAML, holds no mapping, or has a key twice. Says file and line.
    """
    path = Path(path).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; expected a YAML file of settings") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, object]:
    """Settings from YAML text; an empty one holds none. ``where`` is named in complaints.

    Raises:
        ConfigError: it is no YAML, holds no mapping, or has a key twice. Says the line.
    """
    import yaml

    try:
        found = yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{where}{line}: {error.problem or error.context or 'not YAML'}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML ({error})") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{where}:1: expected settings as 'key: value' lines, found {_kind(found)}")
    return found


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """``; did you mean 'x'?`` where something known is close, otherwise nothing."""
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.75)
    leaf = word.rsplit(".", 1)[-1]
    near += [k for k in known if k.rsplit(".", 1)[-1] == leaf and k not in near][: 3 - len(near)]
    if not near:
        by_leaf = {k.rsplit(".", 1)[-1]: k for k in reversed(known)}
        near = [by_leaf[m] for m in difflib.get_close_matches(leaf, list(by_leaf), n=3, cutoff=0.75)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


# one setting ---------------------------------------------------------------------------------------------


def _insert(tree: dict[str, object], parts: Sequence[str], value: object) -> None:
    """Put a value at its place; a mapping joins what is there already."""
    head, rest = parts[0], parts[1:]
    if not rest and not isinstance(value, Mapping):
        tree[head] = value
        return
    inner = tree.get(head)
    if not isinstance(inner, dict):
        inner = tree[head] = {}
    if rest:
        _insert(inner, rest, value)
    elif isinstance(value, Mapping):
        for key, own in value.items():
            _insert(inner, [str(key)], own)


def _replaced(config: C, tree: Mapping[str, object], path: str, known: Sequence[str]) -> C:
    """``config`` with the settings of ``tree``; ``path`` is where it stands in the whole."""
    hints = get_type_hints(type(config))
    names = [field.name for field in dataclasses.fields(config)]  # type: ignore[arg-type]  # any dataclass
    changed: dict[str, Any] = {}
    for name, value in tree.items():
        key = f"{path}{name}"
        if name not in names:
            near = did_you_mean(key, known) or f"; known here: {', '.join(names)}"
            raise ConfigError(f"unknown setting {key!r}{near}")
        changed[name] = _converted(value, hints[name], key, getattr(config, name), known)
    try:
        return dataclasses.replace(config, **changed)  # type: ignore[type-var]  # any dataclass
    except ConfigError as error:
        raise ConfigError(f"{path.rstrip('.')}: {error}" if path else str(error)) from error


def _converted(value: object, hint: Any, key: str, before: object, known: Sequence[str]) -> object:
    """The value as the type of its setting, or a ConfigError."""
    kinds = list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]
    nested = next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)
    if nested is not None:
        for candidate in _readings(value, kinds):
            if isinstance(candidate, Mapping):
                inner = before if dataclasses.is_dataclass(before) else _fresh(nested, key)
                return _replaced(inner, candidate, f"{key}.", known)
    if isinstance(value, Mapping) and not any(get_origin(kind) is dict for kind in kinds):
        inside = next(iter(value), "")
        raise ConfigError(f"unknown setting '{key}.{inside}': {key} is {_describe(hint)} and has nothing inside")
    for candidate in _readings(value, kinds):
        for kind in kinds:
            fits, found = _as(candidate, kind)
            if fits:
                return found
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    hint_text = did_you_mean(str(value), choices) if choices else ""
    raise ConfigError(f"{key} must be {_describe(hint)}, got {value!r:.80}{hint_text}")


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


def _as(value: object, kind: Any) -> tuple[bool, object]:
    """Whether a value fits a type, and the value as that type."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True, value
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in inner), value
    if origin is tuple:
        return _as_tuple(value, inner)
    if origin is dict and isinstance(value, Mapping):
        pairs = [(_as(k, inner[0]), _as(v, inner[1])) for k, v in value.items()]
        return all(k[0] and v[0] for k, v in pairs), {k[1]: v[1] for k, v in pairs}
    if kind is float:
        return _as_float(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    return isinstance(kind, type) and isinstance(value, kind), value


def _as_float(value: object) -> tuple[bool, object]:
    """A finite number; YAML 1.1 takes ``4e-4`` for text, people do not."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False, value
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return False, value
    return math.isfinite(number), number


def _as_tuple(value: object, inner: tuple[Any, ...]) -> tuple[bool, object]:
    """A list of the right length whose items fit."""
    if not isinstance(value, list | tuple):
        return False, value
    kinds = [inner[0]] * len(value) if inner[-1:] == (Ellipsis,) else list(inner)
    if len(kinds) != len(value):
        return False, value
    items = [_as(item, kind) for item, kind in zip(value, kinds, strict=True)]
    return all(fits for fits, _ in items), tuple(item for _, item in items)


_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}


def _describe(hint: Any) -> str:
    """A type in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(kind) for kind in inner)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return f"a list of {_describe(inner[0])}" if inner[-1:] == (Ellipsis,) else f"a list of {len(inner)} values"
    if dataclasses.is_dataclass(hint):
        return f"a mapping with {', '.join(field.name for field in dataclasses.fields(hint))}"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def _kind(value: object) -> str:
    """What a value is, in words."""
    return "a list" if isinstance(value, list) else f"{value!r:.40}"


def _loader() -> Any:
    """A safe YAML loader that refuses a key that stands there twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Plain values only, no key twice."""

    def mapping(loader: Any, node: Any) -> dict[str, object]:
        """A mapping with its keys checked."""
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            problem = "is no name of a setting" if not isinstance(key, str) else "stands here a second time"
            if not isinstance(key, str) or key in found:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} {problem}", key_node.start_mark)
            found[key] = loader.construct_object(value_node, deep=True)
        return found

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    return Loader
