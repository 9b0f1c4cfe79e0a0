"""UltraFeedback-binarized: full_dialogue dialogues as messages, each with the score a model gave it.

The strength of the preference is the difference of the scores. Equal scores are a tie, whatever the columns
are called: the released data pick a ``chosen`` there all the same.
"""

from collections.abc import Iterator

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message
from preflab.data.sources.record import (
    column,
    full_dialogue,
    last_replies_compared,
    messages,
    optional_number,
    prompt_messages,
    provenance,
    wrong_type,
)
from preflab.data.sources.source import Record, Source
from preflab.errors import RecordRefused


def recognise(record: Record) -> bool:
    """Nothing else scores both sides."""
    return {"prompt", "chosen", "rejected", "score_chosen", "score_rejected"} <= record.keys()


def read(record: Record) -> Comparison:
    """One record."""
    prompt = prompt_messages(column(record, "prompt"), "prompt")
    chosen, rejected = (full_dialogue(prompt, messages(column(record, side), side)) for side in ("chosen", "rejected"))
    strength = _score(record, "score_chosen") - _score(record, "score_rejected")
    if not strength >= 0:
        raise RecordRefused("rejected has the higher score")
    return last_replies_compared(
        chosen,
        rejected,
        ranks=(0, 1) if strength > 0 else (0, 0),
        strength=strength,
        provenance=provenance(record, "prompt_id"),
    )


def _score(record: Record, name: str) -> float:
    """A score that must be there."""
    value = column(record, name)
    score = optional_number(record, name)
    if score is None:
        raise wrong_type(name, "a number", value)
    return score


def write(comparison: Comparison) -> Iterator[dict[str, object]]:
    """A record for each decided pair; the scores differ by the strength, or by 1 where none is known.

    Raises:
        RecordRefused: the prompt is more than one user turn, which this format's column cannot hold.
    """
    prompt = comparison.prompt.messages
    if len(prompt) != 1 or prompt[0].role != "user":
        raise RecordRefused("this format's prompt is one user turn")
    for pair in comparison.pairs(ties=False):
        best, worst = (pair.a, pair.b) if pair.prob_a > 0.5 else (pair.b, pair.a)
        strength = comparison.strength if len(comparison.replies) == 2 else None
        sides = ([*prompt, Message("assistant", comparison.replies[k])] for k in (best, worst))
        chosen, rejected = ([message.to_json() for message in side] for side in sides)
        yield {
            "prompt": prompt[0].text,
            "prompt_id": comparison.provenance.id,
            "chosen": chosen,
            "rejected": rejected,
            "score_chosen": float(strength or 1.0),
            "score_rejected": 0.0,
        }


SOURCE = Source(
    name="ultrafeedback",
    columns="prompt (text), chosen, rejected (messages), score_chosen, score_rejected (numbers); prompt_id if known",
    recognise=recognise,
    read=read,
    write=write,
)
