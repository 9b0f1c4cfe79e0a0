"""The preference formats of TRL with a prompt: text or messages, the prompt in its own column or in both sides.

Two texts without a prompt are not read: what replies happen to begin with alike is not a question. (TRL takes it for
one.) Whole dialogues as messages are told apart by their roles.
"""

from collections.abc import Iterator

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message
from preflab.data.sources.columns import is_empty
from preflab.data.sources.messages import prompt_messages
from preflab.data.sources.pairs import SIDES, is_side, is_text_side, judged_pairs
from preflab.data.sources.record import column, optional_text
from preflab.data.sources.source import Record, Source
from preflab.errors import RecordRefused


def recognise(record: Record) -> bool:
    """Two sides, and a prompt unless they are whole dialogues."""
    sides = [record.get(name) for name in ("chosen", "rejected")]
    if not all(is_side(side) for side in sides):
        return False
    return "prompt" in record or not any(is_text_side(side) for side in sides)


def read(record: Record) -> list[Comparison]:
    """One record of any of its forms."""
    prompt = record.get("prompt")
    if is_empty(prompt):
        if is_text_side(column(record, "chosen")):
            column(record, "prompt")
            raise RecordRefused("the prompt is empty", field="prompt")
        return judged_pairs(record, None, system=optional_text(record, "system"))
    return judged_pairs(record, prompt_messages(prompt, "prompt"), system=optional_text(record, "system"))


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
    columns="prompt (text or messages; left out where both sides are whole dialogues), chosen, rejected (text or "
    "messages; rejected may be several texts); system, margin, scores of both sides if known",
    recognise=recognise,
    read=read,
    reads={"prompt": "the prompt", "system": "system message", **SIDES},
    reads_sides=True,
    write=write,
)
