"""OpenAI-style chats: ``messages`` as the prompt, and two ways it might go on.

Also the form of OpenAI's preference fine-tuning: ``input`` with ``messages``, ``preferred_output`` and
``non_preferred_output``.
"""

from collections.abc import Mapping

from preflab.data.comparison import Comparison
from preflab.data.sources.columns import decode_json_text, is_empty
from preflab.data.sources.messages import messages, wrong_type
from preflab.data.sources.pairs import SIDES, judged_pairs
from preflab.data.sources.record import column, optional_text
from preflab.data.sources.source import Record, Source
from preflab.errors import RecordRefused

_FINE_TUNED_SIDES = ("preferred_output", "non_preferred_output")


def recognise(record: Record) -> bool:
    """Messages and two sides."""
    return {"messages", "chosen", "rejected"} <= record.keys() or {"input", *_FINE_TUNED_SIDES} <= record.keys()


def read(record: Record) -> list[Comparison]:
    """One record; a side is a text, one message, or messages with or without the prompt before them."""
    system = optional_text(record, "system")
    if "input" not in record:
        return judged_pairs(record, messages(column(record, "messages"), "messages"), system=system)
    prompt_input = decode_json_text(record["input"])
    if not isinstance(prompt_input, Mapping) or "messages" not in prompt_input:
        raise wrong_type("input", "an object with 'messages'", prompt_input)
    if not is_empty(prompt_input.get("tools")):
        raise RecordRefused("the input offers tools, which a dialogue of text does not hold", field="input.tools")
    prompt = messages(prompt_input["messages"], "input.messages")
    return judged_pairs(record, prompt, names=_FINE_TUNED_SIDES, system=system)


SOURCE = Source(
    name="openai_chat",
    columns="messages, chosen, rejected (each side text, a message or messages); "
    "or input (with messages), preferred_output, non_preferred_output",
    recognise=recognise,
    read=read,
    reads={
        "messages": "the prompt",
        "input": "the prompt",
        "system": "system message",
        "preferred_output": "the better reply",
        "non_preferred_output": "the worse reply",
        **SIDES,
    },
    reads_sides=True,
    priority=4,
)
