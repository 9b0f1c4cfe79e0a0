"""The letter of the option that a reply decides for: its last stated verdict, not its first mention."""

import re
from collections.abc import Sequence

from preflab.rollouts.requests.letter_mentions import Mention, mentions
from preflab.rollouts.requests.parse_reply import BOTH, EQUAL, NEITHER, require_one
from preflab.rollouts.requests.types import Generation, UnreadableResponse

_EQUAL = re.compile(
    r"\b(?:tie|tied|draw|equally\s+(?!\w+ly)\w+|equal|the\s+same|no\s+(?:difference|preference)|as\s+good\s+as|"
    r"indistinguishable)\b",
    re.IGNORECASE,
)


def parse_letter(
    generation: Generation, letters: str, *, texts: Sequence[str] = (), none: str = NEITHER, several: str = BOTH
) -> str:
    """The option that a reply decides for.

    What counts, the strongest first; of equals the last:

    1. a verdict: "[[B]]", a line with the letter alone, "the answer is B", "I choose B", "the better one is B", "so B"
    2. a judgement: "B is better", "A is worse than B"
    3. the letter that the reply opens with: "B. Rome", "(B) because it is kinder"
    4. the only option that it names, or the one that it ends with
    5. the only option whose text it quotes

    Left out are letters that are denied ("not A", "A is wrong"), asked about ("is it A?"), only thought of ("at first
    I thought A", "it could be A"), and remarks ("reply A is long").

    Args:
        letters        of the options, capital: "AB". Of "AB" the first may be called "the first reply", the second
                       "reply 2".
        texts          of the options in that order, where they may be named by their text.
        none, several  reasons why there is no answer.

    Raises:
        UnreadableResponse: the reply is empty, cut at its limit or within a thought, calls the options equal, or names
            none or several.
    """
    text = generation.require_answer()
    named = list(mentions(text, letters))
    if not re.search(r"\w\w", text):  # nothing but letters: a list of them is no verdict
        return _checked(
            require_one({mention.letter for mention in named}, none=none, several=several),
            letters,
            none=none,
            several=several,
        )
    for weight in ("verdict", "better"):
        if stated := [mention for mention in named if mention.weight == weight]:
            return _checked(stated[-1].letter, letters, none=none, several=several)
    judged = _judged(named, letters)
    if judged:
        return require_one(judged, none=none, several=several)
    if _EQUAL.search(text):
        raise UnreadableResponse(EQUAL)
    plain = [mention for mention in named if mention.weight in ("opening", "mention")]
    if plain:
        return _only(plain, letters, none=none, several=several)
    return _by_text(text, letters, texts, none=none, several=several)


def _checked(letter: str, letters: str, *, none: str, several: str) -> str:
    if letter == "?":
        raise UnreadableResponse(several)
    if letter not in letters:
        raise UnreadableResponse(none)
    return letter


def _judged(named: Sequence[Mention], letters: str) -> set[str]:
    """Options that merits speak for; of two options also the other of the worse one."""
    praised = {mention.letter for mention in named if mention.weight == "praise"}
    worse = {mention.letter for mention in named if mention.weight == "worse"}
    spared = {letter for letter in letters if letter not in worse} if len(letters) == 2 and len(worse) == 1 else set()
    return praised | spared


def _only(plain: Sequence[Mention], letters: str, *, none: str, several: str) -> str:
    distinct = {mention.letter for mention in plain}
    opening = plain[0].weight == "opening"
    if len(distinct) > 1 and plain[-1].last:
        return _checked(plain[-1].letter, letters, none=none, several=several)
    listed = sum(mention.weight == "opening" for mention in plain) > 1
    if opening and not listed and plain[0].letter in letters:
        return plain[0].letter
    only = require_one(distinct, none=none, several=several)
    return _checked(only, letters, none=none, several=several)


def _by_text(text: str, letters: str, texts: Sequence[str], *, none: str, several: str) -> str:
    """The option whose text stands in the reply; a text within another one that stands there too is no option."""
    low = text.lower()
    quoted = [i for i, option in enumerate(texts) if option.strip() and option.strip().lower() in low]
    outermost = [i for i in quoted if not any(i != k and texts[i].lower() in texts[k].lower() for k in quoted)]
    return letters[require_one(outermost, none=none, several=several)]
