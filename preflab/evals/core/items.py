"""An item of a suite, and all items that a suite read. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One question of a suite."""

    id: str
    """Unique in the suite, and the same in every run: two runs are compared item by item."""
    group: str
    """What items share that makes them alike (template, prompt, passage); intervals resample whole groups."""
    data: Any
    """What the plan needs: a small frozen dataclass of the suite."""
    block: str = ""
    """Items of a group that belong side by side (the variants of one text): a sample takes a block whole. "" where the
    whole group does."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """The items of a suite, where they came from, and how many records were refused and why."""

    items: Sequence[Item]
    digest: str
    sources: Sequence[str]
    refused: Mapping[str, int] = field(default_factory=dict)
    first_refused: Mapping[str, str] = field(default_factory=dict)
