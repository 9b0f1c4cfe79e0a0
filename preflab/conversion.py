"""Plain values (from JSON or YAML) become frozen dataclasses, checked field by field.

`from_mapping` reads settings that people write and results that `preflab.run.to_json` wrote. A field that does not
exist, is missing, or holds another type is an error that names the field, what was expected and what was found.

By hand, because: pydantic takes 70 ms to import, longer than a third of the time that ``preflab --help`` may take;
its errors would have to be reworded to name dotted keys and near misses; and neither it nor cattrs reads null as NaN.
"""

import dataclasses
import difflib
import functools
import math
import types
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from preflab.errors import ConfigError, DataError

C = TypeVar("C")

_STORED_AS = "stored_as"
MISMATCH = object()
"""What `match` returns for a value of another type."""
_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}


def from_mapping(kind: type[C], mapping: Mapping[str, object], where: str = "", *, settings: bool = False) -> C:
    """A dataclass from plain values, dataclasses inside it included.

    Fields may be ``bool``, ``int``, ``float``, ``str``, ``Path``, ``Any``, ``Literal``, unions, tuples, lists, sets,
    mappings, named tuples, dataclasses, and any class with a class method ``from_json(plain)``, which is used where
    it stands inside ``kind`` (so a class's own ``from_json`` may call this function). Fields with a default may be
    left out. A field that ``__init__`` does not take is derived from the others and is passed over. A field may be
    stored under another key than its name (`stored_as`).

    Args:
        kind      the dataclass.
        mapping   field name -> plain value.
        where     a file or an object; stands before every complaint.
        settings  the values are written by people: text such as "4e-4" is a number too (YAML 1.1 reads it as text),
                  and numbers must be finite. Otherwise null is NaN where a plain ``float`` belongs, as
                  `preflab.run.to_json` writes it; in ``float | None`` it stays None.

    Raises:
        ConfigError: a field is unknown, missing, has the wrong type, or is refused by the dataclass itself.
    """
    try:
        return _build(kind, mapping, "", settings)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") if where else error from None


def stored_as(key: str) -> dict[str, str]:
    """Metadata of a dataclass field that JSON holds under another key: ``field(metadata=stored_as("old_name"))``."""
    return {_STORED_AS: key}


def to_json(value: Any) -> Any:
    """Dataclasses, paths, tuples and numpy numbers as what JSON can hold. Nan and infinities become None."""
    if hasattr(value, "to_json"):
        return to_json(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {_stored_key(f): to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bool | int | str) or value is None:
        return value
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    number = float(value)
    return number if number - number == 0 else None


def match(value: object, hint: Any, key: str, *, settings: bool = False) -> Any:
    """A plain value as the type ``hint``, or `MISMATCH` if it is of another type altogether.

    Raises:
        ConfigError: it is of the right type, but something inside it is not; ``key`` is its dotted name.
    """
    complaint: ConfigError | None = None
    for kind in sorted(union_members(hint), key=lambda kind: kind is not type(None)):  # null before NaN
        try:
            converted = _as(value, kind, key, settings)
        except ConfigError as error:
            complaint = complaint or error
        else:
            if converted is not MISMATCH:
                return converted
    if complaint is not None:
        raise complaint
    return MISMATCH


def mismatch_error(value: object, hint: Any, key: str) -> ConfigError:
    """The error for a value of another type than ``hint``; names a near choice of a ``Literal``."""
    choices = [str(choice) for kind in union_members(hint) if get_origin(kind) is Literal for choice in get_args(kind)]
    suggestion = did_you_mean(str(value), choices) if choices else ""
    return ConfigError(f"{key} must be {describe(hint)}, got {value!r:.80}{suggestion}")


def union_members(hint: Any) -> list[Any]:
    """The types of a union, or the one type."""
    return list(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else [hint]


def describe(hint: Any) -> str:
    """A type in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(kind) for kind in inner)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple and inner[-1:] != (Ellipsis,):
        return f"a list of {len(inner)} values"
    if origin is not None and issubclass(origin, Mapping):
        return "a mapping"
    if origin is not None and issubclass(origin, Sequence | Set):
        return f"a list of {describe(inner[0])}"
    if dataclasses.is_dataclass(hint):
        return f"a mapping with {', '.join(field.name for field in dataclasses.fields(hint))}"
    return _TYPE_NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def did_you_mean(word: str, known_words: Sequence[str]) -> str:
    """``; did you mean 'x'?`` where a known word is close, otherwise nothing."""
    near = difflib.get_close_matches(word, known_words, n=3, cutoff=0.75)
    leaf = word.rsplit(".", 1)[-1]
    near += [k for k in known_words if k.rsplit(".", 1)[-1] == leaf and k not in near][: 3 - len(near)]
    if not near:
        by_leaf = {k.rsplit(".", 1)[-1]: k for k in reversed(known_words)}
        near = [by_leaf[m] for m in difflib.get_close_matches(leaf, list(by_leaf), n=3, cutoff=0.75)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


# one dataclass -------------------------------------------------------------------------------------------


def type_hints(kind: Any) -> dict[str, Any]:
    """The type of every field of a class."""
    return _cached_type_hints(kind)


_cached_type_hints = functools.cache(get_type_hints)


def _build(kind: type[C], mapping: Mapping[str, object], path: str, settings: bool) -> C:
    """The dataclass at dotted ``path`` (empty, or with a dot at its end)."""
    fields = {_stored_key(field): field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]  # any dataclass
    hints = type_hints(kind)
    for key in mapping:
        if key not in fields:
            suggestion = did_you_mean(str(key), list(fields)) or f"; known here: {', '.join(fields)}"
            raise ConfigError(f"unknown field '{path}{key}'{suggestion}")
    arguments: dict[str, Any] = {}
    for key, field in fields.items():
        if not field.init:
            continue
        hint = hints[field.name]
        if key in mapping:
            arguments[field.name] = match(mapping[key], hint, f"{path}{key}", settings=settings)
            if arguments[field.name] is MISMATCH:
                raise mismatch_error(mapping[key], hint, f"{path}{key}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{path}{key} is missing; expected {describe(hint)}")
    try:
        return kind(**arguments)
    except (ConfigError, DataError) as error:  # the dataclass's own rule
        raise ConfigError(f"{path.rstrip('.')}: {error}" if path else str(error)) from error


def _stored_key(field: "dataclasses.Field[Any]") -> str:
    """The key of a field in JSON: its name, or what `stored_as` says."""
    return str(field.metadata.get(_STORED_AS, field.name))


# one value -----------------------------------------------------------------------------------------------


def _as(value: object, kind: Any, key: str, settings: bool) -> Any:
    """The value as one type that is no union, or MISMATCH."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if kind in (Any, object):
        return value
    if origin is Literal:
        fits = any(value == choice and type(value) is type(choice) for choice in inner)
        return value if fits else MISMATCH
    if kind is float:
        return _as_float(value, settings)
    if kind is int:
        return value if isinstance(value, int) and not isinstance(value, bool) else MISMATCH
    if not isinstance(origin, type):
        return MISMATCH
    if not inner and isinstance(value, origin):  # already of that type; text, truth values and None too
        return value
    if origin is Path:
        return Path(value) if isinstance(value, str) else MISMATCH
    if callable(reader := getattr(origin, "from_json", None)):
        return _read_by_hook(value, reader, key)
    if dataclasses.is_dataclass(origin):
        return _build(origin, value, f"{key}.", settings) if isinstance(value, Mapping) else MISMATCH
    if issubclass(origin, Mapping):
        return _as_dict(value, inner, key, settings)
    if issubclass(origin, Sequence | Set) and not issubclass(origin, str):
        return _as_collection(value, origin, inner, key, settings)
    return MISMATCH


def _as_float(value: object, settings: bool) -> Any:
    if value is None and not settings:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str if settings else int | float):
        return MISMATCH
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return MISMATCH
    return number if math.isfinite(number) or not settings else MISMATCH


def _read_by_hook(value: object, reader: Any, key: str) -> Any:
    try:
        return reader(value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{key} cannot be read: {error} (got {value!r:.80})") from error


def _as_dict(value: object, inner: tuple[Any, ...], key: str, settings: bool) -> Any:
    """A dict; JSON writes every key as text, so numbers and the like are read back from it."""
    if not isinstance(value, Mapping):
        return MISMATCH
    key_kind, value_kind = inner or (Any, Any)
    converted: dict[Any, Any] = {}
    for name, content in value.items():
        plain_key = _parse_number(name) if isinstance(name, str) and key_kind not in (str, Any) else name
        new_key = _required(plain_key, key_kind, f"key {name!r} of {key}", settings)
        converted[new_key] = _required(content, value_kind, f"{key}.{name}", settings)
    return converted


def _as_collection(value: object, origin: type, inner: tuple[Any, ...], key: str, settings: bool) -> Any:
    """A tuple, named tuple, list or set from a list whose items fit; an abstract sequence becomes a tuple.

    A named tuple may also come from a mapping of all its fields, as its ``_asdict`` gives it.
    """
    field_names = getattr(origin, "_fields", None)
    if field_names and isinstance(value, Mapping) and value.keys() == set(field_names):
        value = [value[name] for name in field_names]
    if not isinstance(value, list | tuple):
        return MISMATCH
    if hasattr(origin, "_fields"):  # a named tuple
        hints = type_hints(origin)
        kinds = [hints[name] for name in origin._fields]
    elif issubclass(origin, tuple) and inner and inner[-1] is not Ellipsis:
        kinds = [kind for kind in inner if kind != ()]
    else:
        kinds = [inner[0] if inner else Any] * len(value)
    if len(kinds) != len(value):
        return MISMATCH
    pairs = enumerate(zip(value, kinds, strict=True))
    converted = [_required(entry, kind, f"{key}[{k}]", settings) for k, (entry, kind) in pairs]
    if hasattr(origin, "_fields"):
        return origin(*converted)
    if origin in (list, set):
        return origin(converted)
    return frozenset(converted) if issubclass(origin, Set) else tuple(converted)


def _required(value: object, hint: Any, key: str, settings: bool) -> Any:
    """As `match`; a mismatch is an error."""
    converted = match(value, hint, key, settings=settings)
    if converted is MISMATCH:
        raise mismatch_error(value, hint, key)
    return converted


def _parse_number(text: str) -> object:
    """A key of a mapping that JSON turned to text, as the number it was; other text as it is."""
    for parse in (int, float):
        try:
            return parse(text)
        except ValueError:
            continue
    return text
