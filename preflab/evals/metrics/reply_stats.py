"""Simple facts about sets of replies: how long, how varied, how often the same."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Distinct n-grams of words over all n-grams, pooled over the texts (Li et al. 2016); 0 if there are none."""
    grams = [tuple(tokens[i : i + n]) for tokens in map(str.split, texts) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


@dataclass(frozen=True)
class ReplyFacts:
    """What a set of replies looks like from outside."""

    n: int
    mean_words: float
    median_words: float
    empty_share: float
    distinct_1: float
    distinct_2: float
    distinct_3: float
    commonest_share: float
    """Share of replies that are the single commonest text: 1 is total collapse."""


def reply_facts(texts: Sequence[str]) -> ReplyFacts:
    """Describe replies; texts are compared after trimming."""
    lengths = np.array([len(t.split()) for t in texts])
    commonest = Counter(t.strip() for t in texts).most_common(1)[0][1]
    return ReplyFacts(
        n=len(texts),
        mean_words=float(lengths.mean()),
        median_words=float(np.median(lengths)),
        empty_share=float((lengths == 0).mean()),
        distinct_1=distinct_n(texts, 1),
        distinct_2=distinct_n(texts, 2),
        distinct_3=distinct_n(texts, 3),
        commonest_share=commonest / len(texts),
    )
