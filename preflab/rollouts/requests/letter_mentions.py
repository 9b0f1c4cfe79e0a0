"""Where a reply mentions an option by its letter, and what it says there: a verdict, praise, blame, or nothing.

A letter is an option where it stands alone ("B", "(b)", "**B**", "[[B]]"); of two options also "the first one",
"reply 2". A capital "A" before a word in small letters is an article, unless "option" or the like stands before it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from preflab.rollouts.requests.parse_reply import is_question, sentences

Weight: TypeAlias = Literal["verdict", "better", "praise", "blame", "worse", "opening", "mention"]
"""What is said of an option: it is the answer; it is better or right; it has a merit; it is wrong; it is worse than
the other; the reply opens with it; it is named and no more."""

_OPENERS = r"(?:\\[a-z]+\s*|[\s*_`\"'$({\[<>~|:=→-])*"
_NOUN = r"(?:option|choice|letter|reply|response|answer|statement|assistant|candidate|text|model|number|one|version)"
_FILLER = (
    r"(?:clearly|definitely|certainly|obviously|probably|likely|most|simply|indeed|still|therefore|thus|hence|"
    r"actually|then|now|only|just|surely|again|overall|marginally|slightly|strongly|the|with|for|to\s+be|be|that|"
    r"option|choice|letter|reply|response|answer|statement|assistant|candidate)"
)
_GOOD = (
    r"(?:better|best|right|correct|preferred|preferable|superior|stronger|strongest|winning|final|true|safer|safest|"
    r"less\s+(?:harmful|rude|toxic|biased|offensive|dangerous|evasive|vague|wordy)|"
    r"more\s+(?!harmful|rude|toxic|biased|offensive|dangerous|evasive|vague|wordy)\w+)"
)
_BAD = (
    r"(?:worse|worst|weaker|weakest|inferior|poorer|wrong|incorrect|false|bad|rejected|"
    r"more\s+(?:harmful|rude|toxic|biased|offensive|dangerous|evasive|vague|wordy)|"
    r"less\s+(?!harmful|rude|toxic|biased|offensive|dangerous|evasive|vague|wordy)\w+)"
)
_LINK = r"(?:\s+(?:is|was|would\s+be|will\s+be|must\s+be|should\s+be|has\s+to\s+be|remains|goes\s+to|here\s+is))"
_END = rf"(?:\s+{_FILLER})*{_OPENERS}(?:(?:the\s+)?{_NOUN}\s*)?{_OPENERS}$"
_VERDICT_BEFORE = re.compile(
    rf"(?:\b(?<!wrong )(?<!incorrect )(?<!worse )(?:answer|choice|option|preference|selection|pick|judg(?:e)?ment)\b"
    rf"(?:{_LINK}|\s*[\s*_\"]*[:=→>-])"
    rf"|\b(?:verdict|decision|conclusion|winner|final\s+(?:answer|choice|verdict|decision|judg(?:e)?ment))\b{_LINK}?"
    rf"|\b{_GOOD}(?:\s+{_NOUN})?(?:\s+of\s+the\s+two)?(?:{_LINK}|\s*:)"
    rf"|\bI(?:'d|'ll|\s+would|\s+will|\s+must|\s+have\s+to|\s+am|'m)?(?:\s+\w+ly|\s+still|\s+rather)?\s+"
    rf"(?:choose|chose|pick|picked|prefer|select|selected|go|going|vote|favou?r|recommend|judge|opt|settle|say|answer|"
    rf"conclude)(?:\s+on)?"
    rf"|^{_OPENERS}(?:choose|pick|select|prefer)"
    rf"|\b(?:it|that|this)(?:'s|{_LINK}|\s+leaves|\s+makes\s+it)"
    rf"|\b(?:so|therefore|thus|hence|overall|ultimately|finally|then|in\s+conclusion|in\s+the\s+end)\b[\s,:]*)"
    rf"{_END}",
    re.IGNORECASE,
)
_BAD_BEFORE = re.compile(rf"\b{_BAD}(?:\s+{_NOUN})?(?:{_LINK}|\s*:){_END}", re.IGNORECASE)
_NOT_BEFORE = re.compile(
    rf"(?:\b(?:not|never|cannot|neither|nor|than|over|against|instead\s+of|rule\s+out|eliminates?|rejects?|excludes?|"
    rf"discard|dismiss|except|besides|unlike|avoid)|n't(?:\s+\w+)?|\bnot\s+\w+){_END}",
    re.IGNORECASE,
)
_NOUN_BEFORE = re.compile(rf"\b{_NOUN}\s*{_OPENERS}$", re.IGNORECASE)
_HEDGE = re.compile(
    r"\b(?:thought|initially|at\s+first|first\s+glance|might|could|may|perhaps|maybe|possibly|if|whether|unless|"
    r"tempt\w*|some|someone|says?|said|claim\w*|suggest\w*|user|asker|looks?\s+like|seem(?:s|ed))\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r",|\s-\s|\b(?:but|however|yet|although|though|because|since|while|whereas)\b", re.IGNORECASE)
_CLOSERS = r"[\s*_`\"'$)}\]>.]*"
_IS = (
    rf"^{_CLOSERS}(?:\s*\b{_NOUN}\b)?(?:\s*(?:is|was|seems|looks|appears|remains)(?:\s+(?!not\b|n't)(?:\w+ly|still|"
    r"the|a|much|far|also|by\s+far|a\s+bit|a\s+little)\b)*\s+|\s*[:=-]\s*)"
)
_BETTER_AFTER = re.compile(
    rf"{_IS}(?:better|best|right|correct|preferred|preferable|superior|stronger|strongest|true|winner|answer)\b"
    rf"|^{_CLOSERS}\s*(?:wins|beats|outperforms|it\s+is)\b",
    re.IGNORECASE,
)
_PRAISE_AFTER = re.compile(rf"{_IS}{_GOOD}\b", re.IGNORECASE)
_WORSE_AFTER = re.compile(
    rf"{_IS}(?:worse|inferior|weaker|poorer|{_BAD}\b[^.,;]*\bthan)\b|^{_CLOSERS}\s*loses\b", re.IGNORECASE
)
_BLAME_AFTER = re.compile(
    rf"{_IS}(?:not\b|n't\b|{_BAD}\b)|^{_CLOSERS}\s*(?:isn|wasn|doesn|cannot|can't|fails)\b", re.IGNORECASE
)
_RETRACTED = re.compile(
    r"^[^.!?\n]{0,12}(?:but|though|however|no,|wait)\W+(?:that|this|it|which)(?:'s|\s+(?:is|was|seems|cannot|can))?"
    r"\s+(?:\w+ly\s+)?(?:wrong|incorrect|false|not|be\s+right|mistaken)",
    re.IGNORECASE,
)
_OR_BESIDE = re.compile(rf"^{_CLOSERS}\s*(?:,?\s*\bor\b|/){_OPENERS}(?:{_NOUN}\s*)?{_OPENERS}(?:[A-Z]\b|\b[a-z]\))")
_REASON_WORD = re.compile(
    r"(?:because|since|as|for|and|but|or|over|rather|than|to|with|in|by|given|due|which|although|though|while|here|"
    r"instead|when|if|on|then|so|from|at|that|who|whose|it|they)$"
)
"""Words in small letters behind a letter that is an option and no article: "Answer: A because ..."."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One place where an option is named."""

    letter: str
    """Capital; "?" for an option that is offered beside another one ("A or B")."""
    weight: Weight
    last: bool = False
    """Whether the reply ends with it."""


def mentions(text: str, letters: str) -> Iterator[Mention]:
    """Mentions of options in order; those denied, asked about, or only thought of are left out.

    Args:
        letters  of the options, capital. Verdicts for other letters are given too: they are answers to nothing asked.
    """
    lines = sentences(text)
    for number, sentence in enumerate(lines):
        if is_question(sentence):
            continue
        for token in _tokens(sentence, letters):
            weight = _weight(sentence, token, letters, first=number == 0)
            if weight is not None:
                undecided = _OR_BESIDE.match(sentence[token.end :]) is not None
                at_end = number == len(lines) - 1 and not re.search(r"\w", sentence[token.end :])
                yield Mention(
                    "?" if undecided else token.letter, weight, last=at_end and _stands_apart(sentence, token)
                )


@dataclass(frozen=True, slots=True)
class _Token:
    letter: str
    start: int
    end: int
    marked: bool
    """Whether brackets or the like stand around it, so that no word can be meant."""


_LONE_LETTER = re.compile(r"(?<![\w'.-])([A-Za-z])(?![\w']|-\w)")
_ORDINAL = re.compile(
    rf"\bthe\s+(first|second)\b(?:\s+{_NOUN})?(?=\s*(?:$|[.,;:!)*]|is\b|was\b|wins\b|seems\b|over\b|because\b|since\b|"
    r"as\b|for\b|than\b|to\b|and\b|but\b))|\b(?:reply|response|option|answer|assistant)\s*#?([12])\b|\[\[([12])\]\]",
    re.IGNORECASE,
)


def _tokens(sentence: str, letters: str) -> list[_Token]:
    found_tokens = []
    for match in _LONE_LETTER.finditer(sentence):
        before, after = sentence[: match.start()], sentence[match.end() :]
        marked = bool(re.search(r"[(\[{*_`\"'$>]$", before) and re.match(r"[)\]}*_`\"'$<.:]", after))
        alone = not re.search(r"\w", before + after)
        if match[1].islower() and not (marked or alone or _is_named(before, after, match[1])):
            continue
        letter = match[1].upper()
        if not marked and letter in "AI" and _is_word(before, after, letter):
            continue
        found_tokens.append(_Token(letter, match.start(), match.end(), marked))
    if letters == "AB":
        for match in _ORDINAL.finditer(sentence):
            ordinal = (match[1] or match[2] or match[3]).lower()
            letter = "A" if ordinal in ("first", "1") else "B"
            found_tokens.append(_Token(letter, match.start(), match.end(), marked=match[3] is not None))
    return sorted(found_tokens, key=lambda token: token.start)


def _is_named(before: str, after: str, letter: str) -> bool:
    """Whether a small letter stands where an option is named."""
    if letter == "i" or not re.match(r"\s*(?:$|[.,;:!)*]|\w+)", after):
        return False
    behind_cue = _VERDICT_BEFORE.search(before) or _NOUN_BEFORE.search(before)
    return bool(behind_cue) and not (letter == "a" and _is_word(before, after, "A"))


def _is_word(before: str, after: str, letter: str) -> bool:
    """Whether "A" is an article here, or "I" the one who speaks."""
    if letter == "A" and re.search(r"\b(?:option|reply|response|choice|assistant|statement|letter)\s+$", before, re.I):
        return False
    word = re.match(r"\s+([A-Za-z']+)", after)
    return bool(word) and word is not None and not _REASON_WORD.match(word[1]) and not _predicated(after)


def _predicated(after: str) -> bool:
    patterns = (_BETTER_AFTER, _PRAISE_AFTER, _WORSE_AFTER, _BLAME_AFTER)
    return any(pattern.match(after) for pattern in patterns) or bool(re.match(r"\s+(?:is|was|wins|loses)\b", after))


def _weight(sentence: str, token: _Token, letters: str, *, first: bool) -> Weight | None:
    """What a sentence says of an option; None where it denies it, only considers it, or remarks on it."""
    before, after = sentence[: token.start], sentence[token.end :]
    double = before.endswith("[[") or re.search(r"(?:\\boxed\{|<answer>)[\s(]*(?:\\text\{)?$", before)
    clause = _CLAUSE.split(before)[-1]
    if double or not re.search(r"\w", before + after):
        return "verdict"
    if _BAD_BEFORE.search(clause):
        return "worse" if re.search(r"\b(?:worse|weaker|inferior|poorer|more|less)\b", clause, re.IGNORECASE) else None
    if _NOT_BEFORE.search(clause):
        return None
    if _VERDICT_BEFORE.search(clause) or _VERDICT_BEFORE.search(before):
        return None if _HEDGE.search(clause) or _RETRACTED.match(after) else "verdict"
    if token.letter not in letters or _HEDGE.search(clause):
        return None
    return _said_after(after) or _named(before, after, token, first=first)


def _said_after(after: str) -> Weight | None:
    by_pattern: tuple[tuple[re.Pattern[str], Weight], ...] = (
        (_WORSE_AFTER, "worse"),
        (_BLAME_AFTER, "blame"),
        (_BETTER_AFTER, "better"),
        (_PRAISE_AFTER, "praise"),
    )
    return next((weight for pattern, weight in by_pattern if pattern.match(after)), None)


def _named(before: str, after: str, token: _Token, *, first: bool) -> Weight | None:
    """An opening or a mention; None for a remark such as "Reply A is long"."""
    word = re.match(rf"{_CLOSERS}\s+([a-z]+)", after)
    remarked = word is not None and not _REASON_WORD.match(word[1])
    if remarked and not re.match(r"[)\]}*_`\"'$]*[.:)]", after):
        return None
    return "opening" if first and not re.search(r"\w", before) else "mention"


def _stands_apart(sentence: str, token: _Token) -> bool:
    before = sentence[: token.start]
    return re.search(rf"(?:^|[.,;:!?-])\s*(?:so|then|thus)?{_OPENERS}$", before, re.IGNORECASE) is not None
