"""BLEU of one text (Papineni et al. 2002), equal to sacrebleu's with its exponential smoothing and "intl" tokens.

``sacrebleu.corpus_bleu([text], [[r] for r in references], tokenize="intl", smooth_method="exp")``, which is what
lm-evaluation-harness computes for TruthfulQA's replies. Not a measure of quality by itself: what counts is whether a
reply is nearer to the true answers than to the false ones.

Written here because sacrebleu would be a dependency of every installation for two numbers, and has no self-BLEU of
linear cost. A test compares with sacrebleu where an interpreter with it is named.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

_ORDERS = 4


def international_tokens(text: str) -> list[str]:
    """Words, with punctuation and symbols apart, except between digits ("1,000", "3.5")."""
    for pattern, left, right in ((r"[^N]P", "", " "), (r"P[^N]", " ", "")):
        text = _insert_spaces(text, pattern, left, right)
    return "".join(f" {c} " if unicodedata.category(c)[0] == "S" else c for c in text).split()


def _insert_spaces(text: str, pattern: str, left: str, right: str) -> str:
    """Blanks between the two characters of each match, and on one side of both; patterns are of classes."""
    classes = "".join(k if (k := unicodedata.category(c)[0]) in "NP" else "o" for c in text)
    pieces, at = [], 0
    for match in re.finditer(pattern, classes):
        i = match.start()
        pieces += [text[at:i], left, text[i], " ", text[i + 1], right]
        at = i + 2
    return "".join([*pieces, text[at:]])


def _grams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def bleu(text: str, references: Sequence[str], *, effective_order: bool = False) -> float:
    """BLEU of a text against its references.

    The geometric mean of how many of its n-grams (1 to 4 tokens) stand in a reference, each counted at most as often
    as in one of them; where none of an order does, it counts as 1/2, then 1/4 ... of one. Times ``exp(1 - r / c)``
    for a text of c tokens that is shorter than r, the nearest reference's length (the shorter of two equally near).

    Args:
        references       at least one.
        effective_order  a text of fewer than 4 tokens is judged by the orders that it has (sacrebleu's sentence
                         BLEU); otherwise it has 0.

    Returns:
        score            points from 0 to 100.
    """
    tokens, reference_tokens = international_tokens(text), [international_tokens(reference) for reference in references]
    rights, totals = [0] * _ORDERS, [0] * _ORDERS
    for n in range(1, _ORDERS + 1):
        reference_grams: Counter[tuple[str, ...]] = Counter()
        for reference in reference_tokens:
            reference_grams |= _grams(reference, n)
        grams = _grams(tokens, n)
        rights[n - 1], totals[n - 1] = (grams & reference_grams).total(), grams.total()
    return _points(rights, totals, len(tokens), _nearest(len(tokens), map(len, reference_tokens)), effective_order)


def self_bleu(texts: Sequence[str]) -> float:
    """How alike texts are: sentence BLEU of each against all others as its references, averaged (Zhu et al. 2018).

    With sacrebleu's sentence BLEU, exponential smoothing and "intl" tokens. Linear in the texts' length: of each
    n-gram the two highest counts in a text are kept, which give the highest in all others.

    Args:
        texts  at least two.

    Returns:
        score  points from 0 to 100; 100 where all say the same. nan with fewer than two texts.
    """
    if len(texts) < 2:
        return math.nan
    tokens = [international_tokens(text) for text in texts]
    lengths = Counter(map(len, tokens))
    scores = [([0] * _ORDERS, [0] * _ORDERS) for _ in texts]
    for n in range(1, _ORDERS + 1):
        grams = [_grams(text_tokens, n) for text_tokens in tokens]
        best, second = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for counts in grams:
            for gram, count in counts.items():
                best[gram], second[gram] = sorted((count, best[gram], second[gram]), reverse=True)[:2]
        for (rights, totals), counts in zip(scores, grams, strict=True):
            elsewhere = ((count, second[g] if count == best[g] else best[g]) for g, count in counts.items())
            rights[n - 1], totals[n - 1] = sum(min(pair) for pair in elsewhere), counts.total()
    points = []
    for own_tokens, (rights, totals) in zip(tokens, scores, strict=True):
        other_lengths = (length for length, times in lengths.items() if times > (length == len(own_tokens)))
        points.append(_points(rights, totals, len(own_tokens), _nearest(len(own_tokens), other_lengths), True))
    return sum(points) / len(points)


def _nearest(length: int, lengths: Iterable[int]) -> int:
    """The length nearest to a text's; the shorter of two equally near."""
    return min((abs(other - length), other) for other in lengths)[1]


def _points(rights: Sequence[int], totals: Sequence[int], length: int, nearest: int, effective_order: bool) -> float:
    """The score from what is counted of each order."""
    orders = sum(total > 0 for total in totals)
    if not any(rights) or (orders < _ORDERS and not effective_order):
        return 0.0
    logs, halves = 0.0, 1
    for right, total in zip(rights[:orders], totals[:orders], strict=True):
        halves *= 1 if right else 2
        logs += math.log((right or 1 / halves) / total)
    short = math.exp(1 - nearest / length) if length < nearest else 1.0
    return 100 * short * math.exp(logs / orders)
