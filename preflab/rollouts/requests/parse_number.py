"""Numbers in a reply, compared by value: 29.00 is 29, $70,000 is 70 thousand, 12 % is 12."""

import re
from collections.abc import Collection
from fractions import Fraction

from preflab.rollouts.requests.parse_reply import plain, sentences

_SCALES = {"k": 3, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SPACE = r"[ \u00a0\u2009\u202f]"
_NUMBER = re.compile(
    r"(?P<sign>(?<![\w.)\]])-(?=[$€£¥\\]*[.\d]))?(?:\\?[$€£¥]\s*)?"
    r"(?P<digits>\d{1,3}(?:(?:,|\{,\}|'|" + _SPACE + r")\d{3})+(?!\d)|\d{1,3}(?:,\d{2})+,\d{3}(?!\d)|\d+|(?=\.\d))"
    r"(?P<decimals>\.\d+)?(?:e(?P<exponent>[+-]?\d{1,3})\b)?"
    r"(?:\s*/\s*(?P<divisor>\d*[1-9]\d*)(?![\d.]))?"
    r"(?:(?P<k>k\b)|" + _SPACE + r"(?P<scale>thousand|million|billion|trillion)\b)?",
    re.IGNORECASE,
)
_LINK = r"(?:\s+(?:is|was|would\s+be|will\s+be|comes\s+to|equals|=))?"


def numbers_in(text: str) -> list[Fraction]:
    """All numbers of a text in order, by value.

    Separators of thousands (1,200, 1 200, 1,00,000), currency before or behind, a percent sign, units, fractions
    (3/4), powers (1.2e3) and words of scale (70k, 3 million) are read. A minus counts where no word or digit stands
    before it: "3-4" is 3 and 4.
    """
    return [_value(match) for match in _NUMBER.finditer(plain(text))]


def last_number(text: str) -> Fraction | None:
    """The last number of a text; None without any."""
    return next(reversed(numbers_in(text)), None)


def stated_number(text: str, cues: Collection[str] = ("answer",)) -> Fraction | None:
    """The number that a reply gives where it announces its result: the last such.

    It stands in the same sentence behind one of the cues ("Answer: 12 boats", "the answer is $12"), or alone on the
    next line; of a calculation there it is what stands behind the last "=". ``\\boxed{12}`` and ``[[12]]`` announce
    a result too. A number that is denied ("the answer is not 12 but 13") is passed over.
    """
    cue = re.compile(rf"\b(?:{'|'.join(cues)})\b{_LINK}|\\boxed\{{|\[\[|<answer>", re.IGNORECASE)
    stated: Fraction | None = None
    lines = sentences(re.sub(r"(?<=\d)\.(?=\s|$)", ". ", text))
    for number, line in enumerate(lines):
        for match in cue.finditer(line):
            behind = line[match.end() :].split("\\boxed{")[0] or line[match.end() :]
            if not re.search(r"\w", behind) and number + 1 < len(lines):
                behind = lines[number + 1] if _is_bare(lines[number + 1]) else ""
            values = numbers_in(_without_denied(behind.rpartition("=")[2] if _ends_in_number(behind) else behind))
            stated = values[0] if values else stated
    return stated


def same_value(text: str, value: Fraction | None) -> bool:
    """Whether a text states one number and it is this value."""
    return value is not None and numbers_in(text)[-1:] == [value]


def _value(match: re.Match[str]) -> Fraction:
    digits = re.sub(r"\D", "", match["digits"]) or "0"
    value = Fraction(f"{digits}{match['decimals'] or ''}")
    if match["exponent"]:
        value *= Fraction(10) ** int(match["exponent"])
    if match["divisor"]:
        value /= int(match["divisor"])
    if scale := match["k"] or match["scale"]:
        value *= 10 ** _SCALES[scale.lower()]
    return -value if match["sign"] else value


def _is_bare(line: str) -> bool:
    """Whether a line is a number and little else."""
    return bool(numbers_in(line)) and len(line.split()) <= 4


def _ends_in_number(text: str) -> bool:
    return "=" in text and bool(numbers_in(text.rpartition("=")[2]))


def _without_denied(text: str) -> str:
    return re.sub(rf"\bnot\b\W*(?:{_NUMBER.pattern.replace('?P<', '?P<_')})", " ", text, flags=re.IGNORECASE)
