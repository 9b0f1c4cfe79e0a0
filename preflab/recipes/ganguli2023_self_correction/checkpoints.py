"""Checkpoints of the self-correction study: a policy, its size and its steps of RLHF; and how files name them."""

import re
from dataclasses import dataclass
from pathlib import Path

from preflab.errors import ConfigError

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A policy and its place on the two axes."""

    name: str
    size: float | None = None
    """Parameters."""
    steps: int | None = None
    """Of RLHF."""


def parse_checkpoint(text: str) -> Checkpoint:
    """``NAME``, with ``@size=135M`` and ``@steps=200`` behind it in any order.

    Raises:
        ConfigError: a part is neither.
    """
    name, *parts = re.split(r"@(?=size=|steps=)", text)
    axes: dict[str, str] = dict(part.split("=", 1) for part in parts)
    size, steps = axes.get("size"), axes.get("steps")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMB]?)", size or "0")
    if not name or match is None or (steps is not None and not steps.isdecimal()):
        raise ConfigError(f"checkpoint {text!r}: expected NAME, NAME@size=1.5B, NAME@steps=200 or both")
    return Checkpoint(
        name, None if size is None else float(match[1]) * _UNITS[match[2]], None if steps is None else int(steps)
    )


def slug(checkpoint: Checkpoint) -> str:
    """Its name in files: the last part of the path, the size where it was given, and the steps."""
    stem = re.sub(r"[^\w.]+", "-", Path(checkpoint.name.rstrip("/")).name.lower()).strip("-.") or "model"
    parts = [stem]
    parts += [format_size(checkpoint.size).lower()] if checkpoint.size else []
    parts += [str(checkpoint.steps)] if checkpoint.steps is not None else []
    return "-".join(parts)


def format_size(size: float | None) -> str:
    """Parameters as ``135M``."""
    if not size:
        return "unknown"
    unit, letter = next((u, x) for u, x in ((1e9, "B"), (1e6, "M"), (1e3, "K"), (1.0, "")) if size >= u)
    return f"{size / unit:.3g}{letter}"


def condition_key(condition: str, paraphrase: int) -> str:
    """Name of a condition in results and files; ``q`` has no paraphrases."""
    return condition if condition == "q" else f"{condition}.{paraphrase}"
