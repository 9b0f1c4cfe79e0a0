"""Dialogues judged turn after turn: comparisons joined into conversations, conversations grown into one row.

A dialogue with two replies at every turn is one tree: the prompt, two replies, behind one of them the user's next
turn, two replies to that. Which reply a turn goes on from need not be told: its tokens say it.
"""

from collections.abc import Sequence

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message
from preflab.data.rows import Row


def group_by_conversation(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    """Comparisons joined where one goes on from a reply of another: its prompt begins with that prompt and reply.

    Returns:
        conversations, by the first appearance of any of their comparisons; in each, earlier turns first. A comparison
        that nothing goes on from and that goes on from nothing is a conversation of its own.
    """
    conversation_after: dict[tuple[Message, ...], int] = {}  # prompt and reply of a comparison -> its conversation
    conversation_of: dict[int, int] = {}
    for i in sorted(range(len(comparisons)), key=lambda i: len(comparisons[i].prompt.messages)):
        messages = comparisons[i].prompt.messages
        earlier = (conversation_after.get(messages[:n]) for n in range(len(messages) - 1, 0, -1))
        conversation = next((number for number in earlier if number is not None), i)
        conversation_of[i] = conversation
        for reply in comparisons[i].replies:
            conversation_after.setdefault((*messages, Message("assistant", reply)), conversation)
    joined: dict[int, list[int]] = {}
    for i in range(len(comparisons)):
        joined.setdefault(conversation_of[i], []).append(i)
    return [
        [comparisons[i] for i in sorted(members, key=lambda i: len(comparisons[i].prompt.messages))]
        for members in joined.values()
    ]


def graft(row: Row, prefix: Sequence[int], *replies: Sequence[int]) -> Row | None:
    """The row with further replies, on the longest part of their prefix that it holds already.

    The result gives each reply, old or new, the tokens it has alone: only whole segments are shared, so a prefix that
    leaves the row within a segment shares nothing of that segment.

    Args:
        prefix   tokens before the replies, from the beginning.
        replies  in the row they follow those that are there.

    Returns:
        the larger row; None if the prefix does not begin as the row does.
    """
    prefix = tuple(prefix)
    parent, shared = _deepest(row, prefix)
    if parent < 0:
        return None
    segments, parents = list(row.segments), list(row.parents)
    if shared < len(prefix):
        segments.append(prefix[shared:])
        parents.append(parent)
        parent = len(segments) - 1
    first = len(segments)
    segments += [tuple(reply) for reply in replies]
    parents += [parent] * len(replies)
    return Row(tuple(segments), tuple(parents), (*row.replies, *range(first, len(segments))))


def _deepest(row: Row, prefix: tuple[int, ...]) -> tuple[int, int]:
    """The segment down to which the prefix is held, and the tokens up to its end; -1 and 0 if not even a root is."""
    ends = [-1] * len(row.segments)  # tokens of the prefix held at the end of each segment, -1 where it leads elsewhere
    best, most = -1, 0
    for s, (tokens, parent) in enumerate(zip(row.segments, row.parents, strict=True)):
        start = 0 if parent < 0 else ends[parent]
        if start < 0 or prefix[start : start + len(tokens)] != tokens:
            continue
        ends[s] = start + len(tokens)
        if ends[s] > most:
            best, most = s, ends[s]
    return best, most
