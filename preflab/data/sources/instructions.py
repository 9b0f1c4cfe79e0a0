"""Prompts in the columns of Alpaca and Orca: an instruction, what it is about, and what was said before."""

from preflab.data.dialogue import Message
from preflab.data.sources.columns import decode_json_text, is_empty
from preflab.data.sources.messages import is_messages, messages, prompt_messages, wrong_type
from preflab.data.sources.record import column, optional_text
from preflab.data.sources.source import Record
from preflab.errors import DataError

INSTRUCTIONS = ("instruction", "question", "query")
"""Columns that an instruction stands in."""
READS = {
    **dict.fromkeys(INSTRUCTIONS, "the prompt"),
    "input": "the prompt, below the instruction",
    "history": "turns before the prompt",
    "system": "system message",
}
"""Columns that `instruction_messages` reads, and ``system``."""


def instruction_column(record: Record) -> str | None:
    """The column with the instruction: the only one of its names that holds something; ``input`` where none does."""
    names = [name for name in INSTRUCTIONS if not is_empty(record.get(name))]
    if len(names) > 1 or not is_empty(record.get("prompt")):
        return None
    if names:
        return names[0]
    return "input" if isinstance(record.get("input"), str) and not is_empty(record["input"]) else None


def instruction_messages(record: Record) -> tuple[Message, ...]:
    """History, and the instruction with its input below it, as LLaMA-Factory joins them.

    Raises:
        DataError: there is no instruction, or two; a column holds something else than text.
    """
    name = instruction_column(record)
    if name is None:
        raise DataError(f"expected one of {', '.join(INSTRUCTIONS)}; this record has {', '.join(record)}")
    turns = prompt_messages(column(record, name), name)
    subject = optional_text(record, "input") if name != "input" else ""
    if subject.strip():
        turns = (*turns[:-1], Message(turns[-1].role, f"{turns[-1].text}\n{subject}"))
    return (*_history(record.get("history")), *turns)


def _history(value: object) -> tuple[Message, ...]:
    """Turns before: messages, or pairs of what the user and the assistant said."""
    if is_empty(value):
        return ()
    decoded = decode_json_text(value)
    if is_messages(decoded):
        return messages(decoded, "history")
    turns: list[Message] = []
    for exchange in decoded if isinstance(decoded, list) else [decoded]:
        if not isinstance(exchange, list) or len(exchange) != 2 or not all(isinstance(text, str) for text in exchange):
            raise wrong_type("history", "pairs of texts, the user's and the assistant's", value)
        turns += [Message("user", exchange[0]), Message("assistant", exchange[1])]
    return tuple(turns)
