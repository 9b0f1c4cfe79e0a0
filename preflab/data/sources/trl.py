"""The preference formats of TRL: text or messages, with the prompt in its own column or not.

An implicit prompt in plain text is whatever both sides start with, as in TRL itself, but cut at a blank so
that no word is split between prompt and reply. Messages are told apart by their roles and never cut.
"""

from collections.abc import Iterator

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message
from preflab.data.sources.record import (
    column,
    comparison,
    full_dialogue,
    is_messages,
    last_replies_compared,
    messages,
    optional_number,
    prompt_messages,
    provenance,
    text,
)
from preflab.data.sources.source import Record, Source
from preflab.errors import RecordRefused


def recognise(record: Record) -> bool:
    """Both sides text, or both sides messages."""
    sides = [record.get("chosen"), record.get("rejected")]
    return all(isinstance(side, str) for side in sides) or all(is_messages(side) for side in sides)


def read(record: Record) -> Comparison:
    """One record of any of the four forms."""
    if isinstance(column(record, "chosen"), str):
        chosen, rejected = text(record, "chosen"), text(record, "rejected")
        if "prompt" in record:
            prompt = prompt_messages(record["prompt"], "prompt")
        else:
            cut = _shared_words(chosen, rejected)
            prompt = (Message("user", chosen[:cut]),)
            chosen, rejected = chosen[cut:], rejected[cut:]
        return comparison(
            prompt, (chosen, rejected), strength=optional_number(record, "margin"), provenance=provenance(record)
        )
    sides = [messages(column(record, side), side) for side in ("chosen", "rejected")]
    if "prompt" in record:
        prompt = prompt_messages(record["prompt"], "prompt")
        sides = [full_dialogue(prompt, side) for side in sides]
    return last_replies_compared(*sides, strength=optional_number(record, "margin"), provenance=provenance(record))


def _shared_words(chosen: str, rejected: str) -> int:
    """Where the shared beginning of two different texts ends, moved back to just behind a blank."""
    if chosen == rejected:
        raise RecordRefused("chosen and rejected are the same text")
    end = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
    cut = min(len(chosen), len(rejected)) if end is None else end
    while cut > 0 and not chosen[cut - 1].isspace():
        cut -= 1
    if not chosen[:cut].strip():
        raise RecordRefused("the two sides share no prompt")
    return cut


def write(comparison: Comparison) -> Iterator[dict[str, object]]:
    """A record for each decided pair, conversational with explicit prompt; two replies' strength is the margin."""
    for pair in comparison.pairs(ties=False):
        best, worst = (pair.a, pair.b) if pair.prob_a > 0.5 else (pair.b, pair.a)
        record: dict[str, object] = {
            "prompt": comparison.prompt.to_json(),
            "chosen": [Message("assistant", comparison.replies[best]).to_json()],
            "rejected": [Message("assistant", comparison.replies[worst]).to_json()],
        }
        if comparison.strength is not None and len(comparison.replies) == 2:
            record["margin"] = comparison.strength
        yield record


SOURCE = Source(
    name="trl",
    columns="chosen, rejected (both text or both messages), prompt (likewise; may be left out); margin if known",
    recognise=recognise,
    read=read,
    write=write,
)
