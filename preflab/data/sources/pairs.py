"""Chosen and rejected: how the two sides of a record are read, whatever holds the prompt.

A side is a text, a message, or messages with or without the prompt before them. ``rejected`` may be a list of texts:
each of them was judged worse than the chosen one, and nothing is known between them. Scores of both sides
(``score_chosen`` and ``score_rejected``, ``chosen_rating`` and ``rejected_rating`` ...) give the strength, equal ones
a tie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message
from preflab.data.sources.columns import decode_json_text, is_empty, side_columns, side_fact
from preflab.data.sources.messages import messages
from preflab.data.sources.record import (
    column,
    finite_number,
    full_dialogue,
    last_replies_compared,
    optional_number,
    optional_text,
    provenance,
    with_system,
)
from preflab.data.sources.source import Record
from preflab.errors import RecordRefused

SIDES = {"chosen": "the better reply", "rejected": "the worse reply", "margin": "strength", "id": "id"}
"""Columns that `judged_pairs` reads, and as what."""


def judged_pairs(
    record: Record,
    prompt: Sequence[Message] | None,
    *,
    names: tuple[str, str] = ("chosen", "rejected"),
    system: str = "",
    id_column: str = "id",
) -> list[Comparison]:
    """The comparisons of one record: one, or one for each of several rejected replies.

    Args:
        prompt     what both sides continue; None where they are whole dialogues.
        names      columns of the better and the worse side.
        system     system message of a column of its own, or empty.
        id_column  where the record's id stands.

    Raises:
        DataError: a side is missing or of another kind.
        RecordRefused: the sides are no comparison, or the worse one has the higher score.
    """
    chosen = with_system(_dialogue(prompt, _side(column(record, names[0]), names[0])), system)
    tie, strength = _strength(record)
    origin = provenance(record, id_column)
    policies = _policies(record)
    comparisons = []
    for side in _sides(column(record, names[1]), names[1]):
        comparison = last_replies_compared(
            chosen,
            with_system(_dialogue(prompt, side), system),
            ranks=(0, 0) if tie else (0, 1),
            strength=strength,
            provenance=replace(origin, policies=policies),
        )
        comparisons.append(comparison)
    return comparisons


def _dialogue(prompt: Sequence[Message] | None, side: tuple[Message, ...]) -> tuple[Message, ...]:
    """A side as a whole dialogue.

    Raises:
        RecordRefused: there is no prompt, and the side is a reply alone.
    """
    return side if prompt is None else full_dialogue(prompt, side)


def _side(value: object, name: str) -> tuple[Message, ...]:
    """What one side adds, as messages."""
    decoded = decode_json_text(value)
    return (Message("assistant", decoded),) if isinstance(decoded, str) else messages(decoded, name)


def _sides(value: object, name: str) -> list[tuple[Message, ...]]:
    """One side, or each of several texts."""
    decoded = decode_json_text(value)
    if isinstance(decoded, list) and decoded and all(isinstance(text, str) for text in decoded):
        return [_side(text, name) for text in decoded]
    return [_side(decoded, name)]


def is_side(value: object) -> bool:
    """Whether a cell might be a side: text, a message, messages, or several texts."""
    decoded = decode_json_text(value)
    if isinstance(decoded, str | Mapping):
        return True
    return isinstance(decoded, list) and bool(decoded) and all(isinstance(item, str | Mapping) for item in decoded)


def is_text_side(value: object) -> bool:
    """Whether a side is a text, or several, so that it holds no prompt of its own."""
    decoded = decode_json_text(value)
    items = decoded if isinstance(decoded, list) else [decoded]
    return bool(items) and all(isinstance(item, str) for item in items)


def score_columns(record: Record) -> tuple[str, str] | None:
    """The columns of both sides' scores, if there are any."""
    return next((pair for pair in side_columns(record).items() if side_fact(pair[0]) == "score"), None)


def _strength(record: Record) -> tuple[bool, float | None]:
    """Whether the two are tied, and how much better the chosen one is."""
    margin = optional_number(record, "margin")
    names = score_columns(record)
    if names is None or all(is_empty(record[name]) for name in names):
        return False, margin
    gap = finite_number(record[names[0]], names[0]) - finite_number(record[names[1]], names[1])
    if gap < 0:
        raise RecordRefused("rejected has the higher score")
    return gap == 0, gap if margin is None else margin


def _policies(record: Record) -> tuple[str, ...]:
    """Which policy wrote each side, where the record says it of both."""
    for chosen, rejected in side_columns(record).items():
        if side_fact(chosen) == "policy":
            policies = (optional_text(record, chosen), optional_text(record, rejected))
            return policies if all(policies) else ()
    return ()
