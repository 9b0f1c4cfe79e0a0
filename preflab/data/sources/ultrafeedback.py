"""UltraFeedback-binarized: whole dialogues as messages, each with the score a model gave it.

The strength of the preference is the difference of the scores. Equal scores are a tie, whatever the columns
are called: the released data pick a ``chosen`` there all the same.
"""

from preflab.data.comparison import Comparison
from preflab.data.sources.record import (
    column,
    last_replies_compared,
    messages,
    optional_number,
    prompt_messages,
    provenance,
    whole,
    wrong_type,
)
from preflab.data.sources.source import Record, Source
from preflab.errors import RecordRefused


def recognise(record: Record) -> bool:
    """Nothing else scores both sides."""
    return {"prompt", "chosen", "rejected", "score_chosen", "score_rejected"} <= record.keys()


def read(record: Record) -> Comparison:
    """One record."""
    said = prompt_messages(column(record, "prompt"), "prompt")
    chosen, rejected = (whole(said, messages(column(record, side), side)) for side in ("chosen", "rejected"))
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


SOURCE = Source(
    name="ultrafeedback",
    columns="prompt (text), chosen, rejected (messages), score_chosen, score_rejected (numbers); prompt_id if known",
    recognise=recognise,
    read=read,
)
