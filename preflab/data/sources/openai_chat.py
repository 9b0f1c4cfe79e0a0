"""OpenAI-style chats: ``messages`` as the prompt, and two ways it might go on.

Also the form of OpenAI's preference fine-tuning: ``input`` with ``messages``, ``preferred_output`` and
``non_preferred_output``.
"""

from collections.abc import Mapping

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message
from preflab.data.sources.record import column, full_dialogue, last_replies_compared, messages, provenance, wrong_type
from preflab.data.sources.source import Record, Source

_FINE_TUNED_SIDES = ("preferred_output", "non_preferred_output")


def recognise(record: Record) -> bool:
    """Messages and two sides."""
    return {"messages", "chosen", "rejected"} <= record.keys() or {"input", *_FINE_TUNED_SIDES} <= record.keys()


def read(record: Record) -> Comparison:
    """One record; a side is a text, one message, or messages with or without the prompt before them."""
    names = ("chosen", "rejected")
    if "input" in record:
        prompt_input = record["input"]
        if not isinstance(prompt_input, Mapping) or "messages" not in prompt_input:
            raise wrong_type("input", "an object with 'messages'", prompt_input)
        prompt, names = messages(prompt_input["messages"], "input.messages"), _FINE_TUNED_SIDES
    else:
        prompt = messages(column(record, "messages"), "messages")
    chosen, rejected = (full_dialogue(prompt, _side(column(record, name), name)) for name in names)
    return last_replies_compared(chosen, rejected, provenance=provenance(record))


def _side(value: object, name: str) -> tuple[Message, ...]:
    """What one side adds, as messages."""
    if isinstance(value, str):
        return (Message("assistant", value),)
    return messages([value] if isinstance(value, Mapping) else value, name)


SOURCE = Source(
    name="openai_chat",
    columns="messages, chosen, rejected (each side text, a message or messages); "
    "or input (with messages), preferred_output, non_preferred_output",
    recognise=recognise,
    read=read,
)
