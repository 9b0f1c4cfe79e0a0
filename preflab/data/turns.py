"""Comparisons that were made in one dialogue, turn after turn."""

from collections.abc import Sequence

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message


def by_conversation(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    """Comparisons joined where one goes on from a reply of another: its prompt begins with that prompt and reply.

    Returns:
        conversations, by the first appearance of any of their comparisons; in each, earlier turns first. A comparison
        that nothing goes on from and that goes on from nothing is a conversation of its own.
    """
    said: dict[tuple[Message, ...], int] = {}  # prompt and reply of a comparison -> its conversation
    conversation_of: dict[int, int] = {}
    for i in sorted(range(len(comparisons)), key=lambda i: len(comparisons[i].prompt.messages)):
        messages = comparisons[i].prompt.messages
        before = (said.get(messages[:n]) for n in range(len(messages) - 1, 0, -1))
        own = next((found for found in before if found is not None), i)
        conversation_of[i] = own
        for reply in comparisons[i].replies:
            said.setdefault((*messages, Message("assistant", reply)), own)
    joined: dict[int, list[int]] = {}
    for i in range(len(comparisons)):
        joined.setdefault(conversation_of[i], []).append(i)
    return [
        [comparisons[i] for i in sorted(members, key=lambda i: len(comparisons[i].prompt.messages))]
        for members in joined.values()
    ]
