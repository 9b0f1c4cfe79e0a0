"""What a study is: its protocol, policies, items, words for the annotators. Read from a YAML file."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from preflab.config_overrides import parse_yaml
from preflab.conversion import from_mapping
from preflab.data.sources.files import read_records
from preflab.data.store.log import canonical, sha256
from preflab.data.store.studies import NewItem, Purpose
from preflab.errors import ConfigError, DataError, StudyError
from preflab.feedback.protocols import JudgementProtocol, protocol_named
from preflab.rollouts.servers.policy_spec import PolicySpec

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_READ_APART = ("policies", "items", "gold", "practice", "protocol", "settings")
MOST_SLOTS = 1000
"""Judgements that may be wanted of one item."""
CONSENT = (
    "Your judgements, what you write, and how long you take are kept under a pseudonym and used for research and for "
    "training language models. Your name and your network address are not part of them. You may stop at any time, and "
    "you may have what you wrote erased."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDefinition:
    """A study as its owner writes it; every field but the first three has a default."""

    name: str = ""
    """Letters, digits, dots and dashes: it stands in addresses."""
    protocol: JudgementProtocol = field(default_factory=lambda: protocol_named("rank"))
    """Which one, with its settings."""
    title: str = ""
    """What annotators read above the study. Default: the name."""
    instructions: str = ""
    """What annotators are to do; shown before the first task and at a key press."""
    consent: str = CONSENT
    """What they agree to before they begin."""
    warning: str = ""
    """What may upset them; they confirm that they read it, and may leave the study at any time."""
    slots: int = 1
    """Judgements wanted of each item, by as many people."""
    lease_minutes: float = 30.0
    """How long a task is reserved for whoever took it."""
    gold_every: int = 0
    """Each so many-th task is a gold item; 0 for never."""
    repeat_share: float = 0.0
    """Share of the items that the same person is shown again."""
    repeat_every: int = 0
    """Each so many-th task is such a repetition; 0 for only when nothing else is left."""
    practice_right: int = 0
    """Practice items that must be answered rightly before the first task; all are shown with feedback in any case."""
    exposure_cap: int | None = None
    """Most tasks a person may do in 24 hours (for upsetting material); None for no limit."""
    fast_seconds: float | None = None
    """Answers faster than this are marked as hasty in the report of the annotators."""
    policies: tuple[PolicySpec, ...] = ()
    """Who answers in conversations."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise StudyError(f"name must be letters a-z, digits, dots and dashes, got {self.name!r}")
        checks: list[tuple[bool, str]] = [
            (1 <= self.slots <= MOST_SLOTS, f"slots must be in [1, {MOST_SLOTS}], got {self.slots}"),
            (self.lease_minutes >= 0.05, f"lease_minutes must be at least 0.05, got {self.lease_minutes}"),
            (self.gold_every >= 0, f"gold_every must not be negative, got {self.gold_every}"),
            (self.gold_every != 1, "gold_every of 1 would show gold items only"),
            (0 <= self.repeat_share <= 1, f"repeat_share must be in [0, 1], got {self.repeat_share}"),
            (self.repeat_every >= 0, f"repeat_every must not be negative, got {self.repeat_every}"),
            (
                self.exposure_cap is None or self.exposure_cap >= 1,
                f"exposure_cap must be 1 or more, got {self.exposure_cap}",
            ),
            (self.practice_right >= 0, f"practice_right must not be negative, got {self.practice_right}"),
        ]
        for holds, complaint in checks:
            if not holds:
                raise StudyError(complaint)
        names = [policy.name for policy in self.policies]
        if len(set(names)) < len(names):
            raise StudyError(f"policies: two of them have the same name: {', '.join(names)}")
        if self.protocol.needs_policies and not self.policies:
            raise StudyError(f"policies: the protocol {self.protocol.name} needs at least one that answers")

    @property
    def heading(self) -> str:
        """What annotators see above the study."""
        return self.title or self.name

    @property
    def lease_ms(self) -> int:
        """How long a task is reserved, in milliseconds."""
        return round(self.lease_minutes * 60_000)

    def to_json(self) -> dict[str, Any]:
        """What is kept in the store; `from_mapping` reads it back."""
        plain = {name: value for name, value in asdict(self).items() if name not in ("policies", "protocol")}
        settings = asdict(self.protocol)
        return {
            **plain,
            "protocol": self.protocol.name,
            "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
            "policies": [policy.to_json() for policy in self.policies],
        }

    @classmethod
    def from_mapping(cls, definition: Mapping[str, Any]) -> "StudyDefinition":
        """A definition from plain values.

        Raises:
            StudyError: a field is unknown, missing or not what it should be.
        """
        if not _is_storable(definition):
            raise StudyError("a text holds half of a surrogate pair, which no file and no page can hold")
        for needed in ("name", "protocol"):
            if not isinstance(definition.get(needed), str):
                raise StudyError(f"{needed}: expected a text, got {definition.get(needed)!r}")
        settings, policies = definition.get("settings") or {}, definition.get("policies") or []
        if not isinstance(settings, Mapping):
            raise StudyError(f"settings: expected names and values, got {type(settings).__name__}")
        if not isinstance(policies, Sequence) or not all(isinstance(policy, Mapping) for policy in policies):
            raise StudyError("policies: expected a list of policies, each with a name and a model, run or url")
        parts: dict[str, object] = {
            "protocol": _protocol(definition["protocol"], settings),
            "policies": tuple(PolicySpec.from_mapping(policy) for policy in policies),
        }
        plain = {str(name): value for name, value in definition.items() if name not in _READ_APART}
        try:
            return from_mapping(cls, plain | parts, settings=True)
        except ConfigError as error:
            raise StudyError(str(error)) from error


def _protocol(name: str, settings: Mapping[str, object]) -> JudgementProtocol:
    """A protocol with settings that people wrote."""
    try:
        return from_mapping(type(protocol_named(name)), settings, "settings", settings=True)
    except StudyError:
        raise
    except ConfigError as error:
        raise StudyError(str(error)) from error


def _is_storable(plain: object) -> bool:
    """Whether every text in it can be written down. JSON and YAML can spell half a surrogate pair; UTF-8 cannot."""
    try:
        json.dumps(plain, ensure_ascii=False, default=str, skipkeys=True).encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A study's file, read and checked: what it defines and the items it brings."""

    definition: StudyDefinition
    items: tuple[NewItem, ...]


def load_study(path: str | Path) -> StudyFile:
    """Read a study from a YAML file; item files are sought beside it.

    Raises:
        StudyError: the file is missing or no YAML, or a field is not what it should be.
        DataError: an item is not what the protocol wants; the message names file, line and field.
    """
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"{path}: no such file; expected a study in YAML")
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); expected a study in YAML, in UTF-8") from error
    return parse_study(text, where=str(path), beside=path.parent)


def parse_study(text: str, *, where: str = "the study", beside: Path | None = None) -> StudyFile:
    """Read a study from YAML text. Files of items are allowed only where there is a folder to seek them in.

    Raises:
        StudyError, DataError: as `load_study`.
    """
    try:
        parsed = parse_yaml(text, where)
    except ConfigError as error:
        raise StudyError(str(error)) from error
    try:
        definition = StudyDefinition.from_mapping(parsed)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from error
    purposes: tuple[tuple[str, Purpose], ...] = (("items", "main"), ("gold", "gold"), ("practice", "practice"))
    items = [
        item
        for field_name, purpose in purposes
        for item in _read_items(
            definition, parsed.get(field_name), purpose, where=f"{where}: {field_name}", beside=beside
        )
    ]
    names = [item.name for item in items]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise StudyError(f"{where}: two items are called {twice!r}; items without a name are called by their content")
    return StudyFile(definition, tuple(items))


def _read_items(
    definition: StudyDefinition, listed: object, purpose: Purpose, *, where: str, beside: Path | None
) -> list[NewItem]:
    """Items that are listed, or stand in a file that is named; none where the field is missing."""
    if listed is None:
        return []
    if isinstance(listed, str):
        if beside is None:
            raise StudyError(f"{where}: give the items as a list here; a file name works from the command line")
        file = beside / listed
        if not file.is_file():
            raise StudyError(f"{where}: no such file {file}")
        records = [(line.record, str(line.path), line.number) for line in read_records(file)]
    elif isinstance(listed, Sequence) and all(isinstance(record, Mapping) for record in listed):
        records = [(record, where, n) for n, record in enumerate(listed, 1)]
    else:
        raise StudyError(f"{where}: expected a list of items or the name of a file of them")
    return [item_of(definition, record, purpose, path, n) for record, path, n in records]


def item_of(
    definition: StudyDefinition, record: Mapping[str, Any], purpose: Purpose, path: str = "item", n: int = 0
) -> NewItem:
    """One item, checked by the protocol. Without a ``name`` it is called by its content, so that none is added twice.

    Raises:
        DataError: it is not what the protocol wants.
    """
    stated_name = str(record.get("name") or "")
    try:
        if not _is_storable(record):
            raise DataError("a text holds half of a surrogate pair, which no file and no page can hold")
        if len(stated_name) > 200 or not stated_name.isprintable():
            raise DataError(f"expected at most 200 printable characters, got {stated_name!r:.220}", field="name")
        content = definition.protocol.read_item(record)
        if content.get("assisted") and not definition.policies:
            raise DataError("an assisted question needs a policy that helps; the study has none", field="assisted")
        slots = record.get("slots", definition.slots)
        if not isinstance(slots, int) or isinstance(slots, bool) or not 1 <= slots <= MOST_SLOTS:
            raise DataError(f"expected a whole number from 1 to {MOST_SLOTS:,}, got {slots!r:.40}", field="slots")
        gold_field = definition.protocol.gold_field
        if purpose == "gold" and gold_field not in content:
            raise DataError("a gold item must say what is right", field=gold_field or "gold")
    except DataError as error:
        raise error.with_location(path, n) from error
    name = stated_name or f"{purpose} {sha256(canonical(content))[:12]}"
    repeat = purpose == "main" and definition.repeat_share > 0 and _falls_in(name, definition.repeat_share)
    return NewItem(name=name, content=content, purpose=purpose, slots=slots, repeat=repeat)


def _falls_in(label: str, share: float) -> bool:
    """Whether a label is among a share of all labels, the same ones each time."""
    import hashlib

    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "big") < share * 2**32
