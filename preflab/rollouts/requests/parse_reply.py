"""Reading an answer out of a reply: the reasons why there is none, and the choice among several.

`parse_letter`, `parse_yes` and `parse_number` (files of those names) read the last stated verdict, thoughts taken off;
a reply that was cut at its limit gives none. What cannot be read raises `UnreadableResponse` with one of these fixed
reasons, which results count. It never counts as a tie.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from preflab.rollouts.requests.types import Generation, UnreadableResponse

Answer = TypeVar("Answer", bound=Hashable)

NEITHER = "the judge answers neither"
BOTH = "the judge answers both"
EQUAL = "the judge calls them equal"
NO_OPTION = "the reply names none of the options"
SEVERAL_OPTIONS = "the reply names several options"


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


def read_all(
    generations: Sequence[Generation], parse: Callable[[Generation], Answer]
) -> tuple[list[Answer], dict[str, int]]:
    """The answers of those replies that can be read, and how many could not be, by reason."""
    answers, unread = list[Answer](), Counter[str]()
    for generation in generations:
        try:
            answers.append(parse(generation))
        except UnreadableResponse as error:
            unread[str(error)] += 1
    return answers, dict(unread)


_END_OF_SENTENCE = re.compile(r"(?<=[.!?;])(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)(?=[*_\"')\]]*\s)")
_PLAIN = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2212": "-", "\u2013": " - ", "\u2014": " - "}
)


def plain(text: str) -> str:
    """A text with plain quotation marks, minus signs and dashes, so that one expression fits all ways of writing."""
    return re.sub(r"(?<=\d) - (?=\d)", "-", text.translate(_PLAIN))


def sentences(text: str) -> list[str]:
    """Sentences and lines of a reply made `plain`, trimmed, in order; also parted by semicolons."""
    parts = [part.strip() for line in plain(text).splitlines() for part in _END_OF_SENTENCE.split(line)]
    return [part for part in parts if part.strip("*_\"')] ")]


def is_question(sentence: str) -> bool:
    """Whether a sentence asks."""
    return sentence.rstrip("*_\"')] ").endswith("?")
