"""UltraFeedback-binarized: whole dialogues as messages, each with the score a model gave it.

The strength of the preference is the difference of the scores. Equal scores are a tie, whatever the columns
are called: the released data pick a ``chosen`` there all the same.
"""

from collections.abc import Iterator

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message
from preflab.data.sources.columns import is_empty
from preflab.data.sources.messages import messages, prompt_messages
from preflab.data.sources.pairs import SIDES, judged_pairs
from preflab.data.sources.record import column, finite_number
from preflab.data.sources.source import Record, Source
from preflab.errors import RecordRefused


def recognise(record: Record) -> bool:
    """Both sides are scored under these names."""
    return {"prompt", "chosen", "rejected", "score_chosen", "score_rejected"} <= record.keys()


def read(record: Record) -> list[Comparison]:
    """One record.

    Raises:
        RecordRefused: also where ``messages``, which repeats the chosen side in the released data, does not.
    """
    for name in ("score_chosen", "score_rejected"):
        finite_number(column(record, name), name)
    repeated, chosen = record.get("messages"), column(record, "chosen")
    if not is_empty(repeated) and messages(repeated, "messages") != messages(chosen, "chosen"):
        raise RecordRefused("messages and chosen differ", field="messages")
    return judged_pairs(record, prompt_messages(column(record, "prompt"), "prompt"), id_column="prompt_id")


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
    reads={"prompt": "the prompt", "prompt_id": "id", "messages": "repeats chosen", **SIDES},
    reads_sides=True,
    write=write,
    priority=5,
)
