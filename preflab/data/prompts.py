"""Prompts alone: out of comparisons, or as a record of a file has them."""

from collections.abc import Iterable

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue, Message
from preflab.data.sources.formats import hh
from preflab.data.sources.messages import prompt_messages


def distinct_prompts(comparisons: Iterable[Comparison]) -> list[Dialogue]:
    """Every prompt once, in the order of first appearance."""
    return list(dict.fromkeys(comparison.prompt for comparison in comparisons))


def prompt_turns(value: object) -> tuple[Message, ...]:
    """The turns of a prompt in any of its forms: text, messages, or a dialogue in the notation of hh-rlhf.

    Raises:
        DataError: it is none of these.
        RecordRefused: a message holds something else than text, or nobody knows its role.
    """
    if isinstance(value, str) and hh.has_markers(value):
        turns = hh.parse_turns(value)
        return turns[:-1] if turns[-1] == Message("assistant", "") else turns  # the marker before the reply to come
    return prompt_messages(value, "prompt")
