"""Rules of dialogue, in lists that are changed without code: people judge them one by one, or a check does.

Source of the shipped list: Glaese et al. 2022 (Sparrow), table 1; ids and wording are ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from preflab.conversion import did_you_mean, from_mapping
from preflab.errors import ConfigError
from preflab.safe_yaml import read_yaml_value

SHIPPED = Path(__file__).with_name("rules.yaml")
"""Rules that people judge."""
SHIPPED_CHECKS = Path(__file__).with_name("checked_rules.yaml")
"""Rules that check themselves, to begin from."""
Goal = Literal["helpful", "correct", "harmless"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """Finds a rule broken by the text of a reply alone. Exactly one field is set.

    Raises:
        ConfigError: none is set, or several are; a pattern is no regular expression; a length is negative.
    """

    matches: str | None = None
    """Broken where this regular expression is found in the reply."""
    lacks: str | None = None
    """Broken where it is not."""
    phrases: tuple[str, ...] = ()
    """Broken where one of these words or phrases stands in the reply, in capitals or not."""
    longer_than: int | None = None
    """Broken by more characters than this."""
    shorter_than: int | None = None
    """Broken by fewer."""

    def __post_init__(self) -> None:
        chosen = [field.name for field in fields(self) if getattr(self, field.name) not in (None, ())]
        if len(chosen) != 1:
            names = ", ".join(field.name for field in fields(self))
            raise ConfigError(f"expected one of {names}, found {', '.join(chosen) or 'none'}")
        limit = self.longer_than if self.longer_than is not None else self.shorter_than
        if limit is not None and limit < 0:
            raise ConfigError(f"{chosen[0]} must not be negative, got {limit}")
        if limit is None:
            try:
                _ = self._pattern
            except re.error as error:
                raise ConfigError(f"{chosen[0]}: expected a regular expression, found an error: {error}") from error

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        if self.phrases:
            return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, self.phrases))})(?!\w)", re.IGNORECASE)
        return re.compile(self.matches if self.matches is not None else self.lacks or "")

    def finds(self, reply: str) -> bool:
        """Whether the reply breaks the rule."""
        if self.longer_than is not None:
            return len(reply) > self.longer_than
        if self.shorter_than is not None:
            return len(reply) < self.shorter_than
        return (self._pattern.search(reply) is None) == (self.lacks is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, short and judgeable from the dialogue alone."""

    id: str
    category: str
    goal: Goal
    text: str
    probing: str = ""
    """How somebody who tries to break it may begin."""
    paraphrases: tuple[str, ...] = ()
    weight: float = 1.0
    """Penalty of breaking it, where replies are compared by rules."""
    veto: bool = False
    """Whether breaking it bars a reply, whatever it keeps otherwise."""
    check: Check | None = None
    """What finds it broken without a person; None where nothing does."""

    def __post_init__(self) -> None:
        for name in ("id", "category", "text"):
            if not getattr(self, name).strip():
                raise ConfigError(f"{name} must not be empty")
        if self.weight < 0:
            raise ConfigError(f"weight must not be negative, got {self.weight}")


@cache
def load_rules(path: Path = SHIPPED) -> dict[str, Rule]:
    """The rules of a YAML list, by id.

    Raises:
        ConfigError: there is no such file, it is no list of rules, or an id comes twice.
    """
    rules: dict[str, Rule] = {}
    for n, record in enumerate(_records(path)):
        if not isinstance(record, Mapping):
            raise ConfigError(f"{path}: rule {n} must have id, category, goal and text, found {record!r:.80}")
        rule = from_mapping(Rule, record, f"{path}: rule {n}", settings=True)
        if rule.id in rules:
            raise ConfigError(f"{path}: rule id {rule.id!r} comes twice")
        rules[rule.id] = rule
    return rules


def _records(path: Path) -> list[Any]:
    """The entries of the list, unread."""
    if not path.is_file():
        beside = [file.name for file in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        near = did_you_mean(path.name, beside)
        raise ConfigError(f"{path}: no such file; expected a list of rules in YAML{near}")
    records = read_yaml_value(path, "a list of rules")
    if not isinstance(records, list) or not records:
        raise ConfigError(f"{path}: expected a list of rules, found {type(records).__name__}")
    return records
