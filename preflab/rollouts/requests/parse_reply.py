"""Reading an answer out of a reply: a yes or no, the letter of an option.

A reply that gives no answer, or several, raises `UnreadableResponse`. It never counts as a tie.
"""

import re
from collections.abc import Collection, Hashable, Iterable
from typing import TypeVar

from preflab.rollouts.requests.types import Generation, UnreadableResponse

Answer = TypeVar("Answer", bound=Hashable)

NEITHER = "the judge answers neither"
BOTH = "the judge answers both"
NO_OPTION = "the reply names none of the options"
SEVERAL_OPTIONS = "the reply names several options"
CUES = ("is", "answer", "option", "reply", "response", "choice", "prefer")
"""Words behind which a letter stands for an option: "the answer is A"."""


def require_one(answers: Iterable[Answer], *, none: str, several: str) -> Answer:
    """The only answer that was found in a reply.

    Args:
        none, several  reasons, as fixed phrases that can be counted.

    Raises:
        UnreadableResponse: there is none, or there are several.
    """
    distinct = set(answers)
    if len(distinct) != 1:
        raise UnreadableResponse(several if distinct else none)
    return distinct.pop()


def parse_yes(generation: Generation, *, responder: str = "judge") -> bool:
    """Whether a reply says yes: by its first word, or by the only one of the two words in it.

    Args:
        responder  who answered, for the reason.

    Raises:
        UnreadableResponse: it is empty, or says neither or both.
    """
    text = generation.require_text().lower()
    opening = re.match(r"\W*(?:answer\W+)?(yes|no)\b", text)
    answers = {opening.group(1)} if opening else set(re.findall(r"\b(yes|no)\b", text))
    none, several = (reason.replace("judge", responder) for reason in (NEITHER, BOTH))
    return require_one(answers, none=none, several=several) == "yes"


def parse_letter(generation: Generation, letters: str, *, cues: Collection[str] = CUES) -> str:
    """The letter of an option: the one that a reply opens with, or the only one that it names.

    A letter is named in brackets or behind a cue. A capital "A" before a small word is an article: "A good reply ..."

    Args:
        letters  of the options, capital: "AB".
        cues     words behind which a letter stands for an option.

    Raises:
        UnreadableResponse: the reply is empty, or names none of the letters or several.
    """
    text = generation.require_text()
    if opening := re.match(rf"\W*([{letters}])\b(?!\s+[a-z])", text):
        return str(opening.group(1))
    pattern = rf"\(([{letters}])\)|\b(?i:{'|'.join(cues)})\b[\s:*]*([{letters}])\b"
    named = [str(bracketed or cued) for bracketed, cued in re.findall(pattern, text)]
    return require_one(named, none=NEITHER, several=BOTH)
