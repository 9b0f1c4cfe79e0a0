"""Labellers by name: ``KIND:SUBJECT,setting=value``, as ``--judge`` takes them.

A new kind is a file of this folder with a function ``open_from_spec(subject, settings, openers)``, and a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from preflab.conversion import did_you_mean
from preflab.data.comparison import Comparison
from preflab.errors import ConfigError
from preflab.feedback.labellers.settings import Openers
from preflab.interfaces import Labeller


@dataclass(frozen=True, slots=True)
class LabellerKind:
    """One kind of labeller."""

    module: str
    """In this folder; imported when it is first asked for."""
    usage: str
    needs_subject: bool = True
    """Whether something must stand behind the colon."""


KINDS: dict[str, LabellerKind] = {
    "human": LabellerKind("human", "human[:STUDY][,store=FILE_OR_URL][,wait=false]", needs_subject=False),
    "pm": LabellerKind("preference_model", "pm:FOLDER_OR_RUN[,temperature=1]"),
    "model": LabellerKind("language_model", "model:NAME_OR_URL[,criterion=helpful][,read=text][,served_name=NAME]"),
    "rules": LabellerKind("rules", "rules:FILE[,temperature=1]"),
    "oracle": LabellerKind("oracle", "oracle:CRITERION[,noise=0.1][,seed=0]"),
}
"""What may stand before the colon."""


class OpenFromSpec(Protocol):
    """The function that each module of a kind has."""

    def __call__(self, subject: str, settings: Mapping[str, str], openers: Openers) -> Labeller[Comparison]:
        """Open the labeller of a specification."""
        ...


@dataclass(frozen=True, slots=True)
class LabellerSpec:
    """A specification, read: ``oracle:brief,noise=0.1`` is kind, subject and settings."""

    kind: str
    subject: str
    settings: Mapping[str, str]


def parse_spec(spec: str) -> LabellerSpec:
    """Read a specification; whether its settings are any is seen when it is opened.

    Raises:
        ConfigError: the kind is unknown, the subject is missing, or a setting has no ``=``, no name, or comes twice.
    """
    head, *assignments = spec.split(",")
    kind, _, subject = head.strip().partition(":")
    if kind not in KINDS:
        usage = "; ".join(kind.usage for kind in KINDS.values())
        raise ConfigError(f"unknown judge {spec!r}{did_you_mean(kind, list(KINDS))}; expected one of: {usage}")
    if KINDS[kind].needs_subject and not subject:
        raise ConfigError(f"judge {spec!r}: expected {KINDS[kind].usage}")
    settings: dict[str, str] = {}
    for assignment in assignments:
        name, sign, value = (part.strip() for part in assignment.partition("="))
        if not sign or not name:
            raise ConfigError(f"judge {spec!r}: expected setting=value, found {assignment!r}; {KINDS[kind].usage}")
        if name in settings:
            raise ConfigError(f"judge {spec!r}: {name} stands here twice")
        settings[name] = value
    return LabellerSpec(kind, subject, settings)


def open_labeller(spec: str, openers: Openers) -> Labeller[Comparison]:
    """The labeller of a specification.

    Args:
        openers  functions that open models; a kind that needs none calls none.

    Raises:
        ConfigError: as `parse_spec`; or a setting is unknown or refused.
        ModelError, StoreError: a model or a store cannot be opened.
    """
    parsed = parse_spec(spec)
    module = import_module(f"preflab.feedback.labellers.{KINDS[parsed.kind].module}")
    open_from_spec = cast(OpenFromSpec, module.open_from_spec)
    return open_from_spec(parsed.subject, parsed.settings, openers)
