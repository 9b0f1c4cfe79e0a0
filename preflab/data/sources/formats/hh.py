r"""The format of Anthropic's hh-rlhf: dialogues as one string with ``\n\nHuman:`` and ``\n\nAssistant:``.

Released as ``chosen`` and ``rejected``, each a whole dialogue; also met as ``prompt``, ``chosen``,
``rejected`` with the markers in the prompt. A turn starts at a marker and nowhere else: ": " and a
"Human:" inside a line are ordinary text. The one blank after a marker belongs to the marker.
"""

import re
from collections.abc import Iterator

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Message, Role
from preflab.data.sources.record import last_replies_compared, optional_text, provenance, text
from preflab.data.sources.source import Record, Source
from preflab.errors import RecordRefused

_MARKER = re.compile(r"(?:\n\n|\A)(Human|Assistant):")
"""Copies of the data are often stripped, so the first marker may have lost its line breaks."""
_ROLE: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
_NAME = {role: name for name, role in _ROLE.items()}


def has_markers(string: str) -> bool:
    """Whether the string is a dialogue in this notation."""
    return _MARKER.match(string) is not None


def parse_turns(string: str) -> tuple[Message, ...]:
    """The turns of a dialogue in this notation; a bare last ``\\n\\nAssistant:`` is a turn with empty text.

    Raises:
        RecordRefused: the string does not start with a marker.
    """
    before, *turns = _MARKER.split(string)
    if before or not turns:
        raise RecordRefused(r"a text does not start with \n\nHuman: or \n\nAssistant:")
    names, bodies = turns[0::2], turns[1::2]
    return tuple(Message(_ROLE[name], body.removeprefix(" ")) for name, body in zip(names, bodies, strict=True))


def recognise(record: Record) -> bool:
    """Two strings; the first one, or the prompt before it, starts with a marker."""
    prompt, chosen, rejected = (record.get(name) for name in ("prompt", "chosen", "rejected"))
    if not isinstance(chosen, str) or not isinstance(rejected, str):
        return False
    return has_markers(chosen) or (isinstance(prompt, str) and has_markers(prompt))


def read(record: Record) -> Comparison:
    """One record; the prompt is what both sides share up to the last assistant marker."""
    before = optional_text(record, "prompt")
    sides = [text(record, side) for side in ("chosen", "rejected")]
    if not all(side.startswith(before) for side in sides):  # they continue the prompt instead of repeating it
        sides = [before + side for side in sides]
    return last_replies_compared(*(parse_turns(side) for side in sides), provenance=provenance(record))


def write(comparison: Comparison) -> Iterator[dict[str, object]]:
    """One record for each decided pair, in the released form: two whole dialogues.

    Raises:
        RecordRefused: the notation cannot carry this dialogue.
    """
    for pair in comparison.pairs(ties=False):
        best, worst = (pair.a, pair.b) if pair.prob_a > 0.5 else (pair.b, pair.a)
        sides = (comparison.prompt.with_reply(comparison.replies[k]).messages for k in (best, worst))
        chosen, rejected = ("".join(_notation(message) for message in side) for side in sides)
        yield {"chosen": chosen, "rejected": rejected}


def _notation(message: Message) -> str:
    """One turn behind its marker."""
    if message.role not in _NAME:
        raise RecordRefused(f"this format has no {message.role} message")
    turn = f"\n\n{_NAME[message.role]}: {message.text}"
    if len(_MARKER.findall(turn)) > 1:
        raise RecordRefused("a text holds this format's own turn marker")
    return turn


SOURCE = Source(
    name="hh",
    columns=r"chosen, rejected (whole dialogues as text with \n\nHuman: and \n\nAssistant:); or with a prompt besides",
    recognise=recognise,
    reads={
        "prompt": "the dialogue before both sides",
        "chosen": "the better dialogue",
        "rejected": "the worse dialogue",
        "id": "id",
    },
    read=read,
    write=write,
    priority=3,  # before trl, which would take its dialogues for plain text
)
