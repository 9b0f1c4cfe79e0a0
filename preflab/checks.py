"""Checks that a frozen config makes of itself: types, ranges, and settings that another one makes dead."""

import dataclasses
import math
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Protocol, runtime_checkable

from preflab.errors import ConfigError


@runtime_checkable
class HasUnread(Protocol):
    """A config that knows which of its settings nothing reads."""

    def unread(self) -> Mapping[str, str]:
        """Dotted name of a setting, or of a config within -> the settings because of which nothing reads it."""


def check_at_least(config: object, least: int, *names: str) -> None:
    """Whether these settings are no smaller than ``least``; None is passed over.

    Raises:
        ConfigError: one is smaller, or not finite.
    """
    _check(config, names, f"at least {least}", lambda value: least <= value < math.inf)


def check_above(config: object, limit: int, *names: str) -> None:
    """Whether these settings are larger than ``limit``; None is passed over.

    Raises:
        ConfigError: one is not, or is not finite.
    """
    _check(config, names, f"above {limit}", lambda value: limit < value < math.inf)


def check_within(config: object, interval: str, *names: str) -> None:
    """Whether these settings lie in an interval such as ``[0, 1)``; None is passed over.

    Raises:
        ConfigError: one does not.
    """
    low, high = map(float, interval[1:-1].split(","))

    def inside(value: Any) -> bool:
        reaches = low <= value if interval[0] == "[" else low < value
        return bool(reaches and (value <= high if interval[-1] == "]" else value < high))

    _check(config, names, f"in {interval}", inside)


def refuse_unread(config: Any, because: str, *names: str, neutral: object = None) -> None:
    """Refuse settings that were changed from their defaults although another setting makes them dead.

    Args:
        because  the setting that makes them dead, as ``name=value``.
        neutral  a value that is accepted besides the default, since it says "off".

    Raises:
        ConfigError: one was changed.
    """
    defaults = {field.name: _default(field) for field in dataclasses.fields(config)}
    for name in names:
        value = getattr(config, name)
        if value != defaults[name] and (neutral is None or value != neutral):
            raise ConfigError(f"{name}={value} would change nothing with {because}; leave it at {defaults[name]}")


def refuse_changes_unread(start: object, config: HasUnread) -> None:
    """Refuse settings that differ from a recipe's scale although ``config.unread()`` calls them dead.

    Args:
        start  the scale. What was changed is known only against it: each scale has values of its own.

    Raises:
        ConfigError: one was changed.
    """
    for path, because in config.unread().items():
        for name, before, after in _differences(path, attrgetter(path)(start), attrgetter(path)(config)):
            raise ConfigError(f"{name}={after} would change nothing with {because}; leave it at {before}")


def _differences(path: str, before: object, after: object) -> list[tuple[str, object, object]]:
    """Name and both values of every setting below ``path`` that differs."""
    if before == after:
        return []
    if not dataclasses.is_dataclass(before) or type(before) is not type(after):
        return [(path, before, after)]
    names = [field.name for field in dataclasses.fields(before)]
    parts = ((f"{path}.{name}", getattr(before, name), getattr(after, name)) for name in names)
    return [difference for part in parts for difference in _differences(*part)]


def _check(config: object, names: tuple[str, ...], expected: str, fits: Any) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not fits(value):
            raise ConfigError(f"{name} must be {expected}, got {value}")


def _default(field: "dataclasses.Field[Any]") -> object:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
