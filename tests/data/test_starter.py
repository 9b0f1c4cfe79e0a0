"""The starter set is what its card says. ``python tests/data/test_starter.py`` prints the card's numbers."""

import math
import re
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from preflab.data.comparison import Comparison
from preflab.data.describe import describe
from preflab.data.load import LoadedComparisons, load_comparisons
from preflab.data.split import split_by_prompt
from preflab.evals.metrics.baselines import bag_of_words_baseline, length_baseline

CATEGORIES = {"helpfulness", "honesty", "harmlessness", "over-refusal"}
LEAST_ITEMS = 6
"""Items in which a word must tell two replies apart before its z counts."""


@pytest.fixture(scope="module")
def loaded() -> LoadedComparisons:
    return load_comparisons("starter")


@pytest.fixture(scope="module")
def comparisons(loaded: LoadedComparisons) -> list[Comparison]:
    return loaded.comparisons


# measures, as the card defines them ----------------------------------------------------------------------


def decided(comparisons: list[Comparison]) -> list[tuple[int, str, str]]:
    """Item number, better reply, worse reply of every decided pair."""
    found = []
    for item, comparison in enumerate(comparisons):
        for pair in comparison.pairs(ties=False):
            better, worse = (pair.a, pair.b) if pair.prob_a > 0.5 else (pair.b, pair.a)
            found.append((item, comparison.replies[better], comparison.replies[worse]))
    return found


def longer_share(comparisons: list[Comparison]) -> float:
    """Share of decided pairs in which the better reply has more characters."""
    return float(np.mean([len(better) > len(worse) for _, better, worse in decided(comparisons)]))


def mean_log_ratio(comparisons: list[Comparison]) -> float:
    """Mean over decided pairs of log(characters of the better / characters of the worse)."""
    return float(np.mean([math.log(len(better) / len(worse)) for _, better, worse in decided(comparisons)]))


def wording(reply: str) -> set[str]:
    """Words, pairs of neighbouring words, and the opening, marked with ``^``, of one and of two words."""
    words = re.findall(r"[a-z']+|[!?]|\d+", reply.lower())
    found = set(words) | {" ".join(two) for two in pairwise(words)}
    return found | {"^" + words[0], "^" + " ".join(words[:2])} if words else found


def lopsided(comparisons: list[Comparison]) -> list[tuple[float, str, int, int]]:
    """z, wording, pairs where only the better reply has it, pairs where only the worse one has it."""
    up: Counter[str] = Counter()
    down: Counter[str] = Counter()
    items: dict[str, set[int]] = defaultdict(set)
    for item, better, worse in decided(comparisons):
        own, other = wording(better), wording(worse)
        up.update(own - other)
        down.update(other - own)
        for word in own ^ other:
            items[word].add(item)
    common = (word for word, where in items.items() if len(where) >= LEAST_ITEMS)
    scored = [((up[w] - down[w]) / math.sqrt(up[w] + down[w]), w, up[w], down[w]) for w in common]
    return sorted(scored, key=lambda found: (-abs(found[0]), found[1]))


def plain_words_accuracy(comparisons: list[Comparison]) -> float:
    """Logistic regression of fixed strength on words and word pairs that occur twice; 5 folds by item."""
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits

    items, better, worse = zip(*decided(comparisons), strict=True)
    words = CountVectorizer(ngram_range=(1, 2), min_df=2, binary=True, token_pattern=r"(?u)\b\w+\b|[!?]")
    words.fit(better + worse)
    gap = (words.transform(better).astype(float) - words.transform(worse).astype(float)).tocsr()
    right: list[bool] = []
    with threadpool_limits(1):
        for train, held_out in GroupKFold(5).split(gap, groups=np.array(items)):
            model = LogisticRegression(C=0.3, fit_intercept=False, solver="liblinear", max_iter=500)
            model.fit(vstack([gap[train], -gap[train]]), np.repeat([1, 0], len(train)))
            right += (gap[held_out] @ model.coef_[0] > 0).tolist()
    return float(np.mean(right))


def baseline_accuracy(comparisons: list[Comparison], seed: int) -> tuple[float, float]:
    """preflab's own baselines, length and bag of words: 5 folds by prompt, pooled over pairs."""
    folds = split_by_prompt(comparisons, {str(k): 0.2 for k in range(5)}, seed=seed)
    rest = {k: [c for other in folds if other != k for c in folds[other]] for k in folds}
    found = [
        np.concatenate([baseline(rest[k], folds[k]).correct for k in folds])
        for baseline in (length_baseline, bag_of_words_baseline)
    ]
    return float(found[0].mean()), float(found[1].mean())


# tests ---------------------------------------------------------------------------------------------------


def test_every_record_loads(loaded: LoadedComparisons) -> None:
    assert loaded.refused == {}
    assert loaded.format == "preflab_jsonl"
    assert loaded.records == len(loaded.comparisons) >= 240


def test_every_category_is_known_and_there_and_every_kind_is_named(comparisons: list[Comparison]) -> None:
    assert {c.category for c in comparisons} == CATEGORIES
    assert all(c.kind for c in comparisons)


def test_every_decided_pair_has_a_reason_of_one_line_and_no_tie_has_one(comparisons: list[Comparison]) -> None:
    for comparison in comparisons:
        for pair in comparison.pairs():
            tied = pair.prob_a == 0.5
            assert tied == (pair.why == ""), comparison.provenance.id
            assert "\n" not in pair.why, comparison.provenance.id


def test_replies_are_two_to_four_different_texts_and_mostly_short(comparisons: list[Comparison]) -> None:
    for comparison in comparisons:
        assert 2 <= len(comparison.replies) == len(set(comparison.replies)) <= 4, comparison.provenance.id
    words = [len(reply.split()) for c in comparisons for reply in c.replies]
    assert np.mean([n < 45 for n in words]) > 0.9
    assert max(words) <= 75


def test_no_prompt_and_no_id_is_there_twice(comparisons: list[Comparison]) -> None:
    assert len({c.prompt for c in comparisons}) == len(comparisons)
    assert len({c.provenance.id for c in comparisons}) == len(comparisons)
    spoken = [" | ".join(m.text.casefold() for m in c.prompt.messages) for c in comparisons]
    assert len(set(spoken)) == len(spoken)


def test_length_does_not_give_the_better_reply_away(comparisons: list[Comparison]) -> None:
    assert 0.46 <= longer_share(comparisons) <= 0.54
    assert abs(mean_log_ratio(comparisons)) < 0.06


def test_no_word_and_no_opening_marks_the_better_or_the_worse(comparisons: list[Comparison]) -> None:
    assert [found for found in lopsided(comparisons) if abs(found[0]) > 4] == []


def test_words_without_understanding_do_not_get_far(comparisons: list[Comparison]) -> None:
    assert plain_words_accuracy(comparisons) < 0.62  # the limit the writers were given, with the classifier they had
    length, words = baseline_accuracy(comparisons, seed=0)
    assert length < 0.54
    assert words < 0.66  # a stronger classifier; six splits gave 61.9 to 64.3 % (see the card)


def main() -> None:
    """Every number of the card."""
    own = load_comparisons("starter").comparisons
    print(describe(own).render(), end="\n\n")
    for name in sorted(CATEGORIES):
        part = [c for c in own if c.category == name]
        sizes = dict(sorted(Counter(len(c.replies) for c in part).items()))
        print(f"{name}: {len(part)} prompts, {len(decided(part))} decided pairs, replies {sizes}")
    words = [len(reply.split()) for c in own for reply in c.replies]
    print(f"replies under 45 words: {np.mean([n < 45 for n in words]):.1%} of {len(words)}")
    print(f"better is longer: {longer_share(own):.1%} of pairs; mean log length ratio {mean_log_ratio(own):+.3f}")
    found = lopsided(own)
    beyond = {limit: sum(abs(z) > limit for z, *_ in found) for limit in (2, 3, 4)}
    print(f"{len(found)} wordings in at least {LEAST_ITEMS} items; beyond |z|: {beyond}")
    for z, word, up, down in found[:10]:
        print(f"  {word!r:<14} {up:>4} / {down:<4} z {z:+.2f}")
    print(f"words, fixed strength, 5 folds: {plain_words_accuracy(own):.1%}")
    for seed in range(6):
        length, bag = baseline_accuracy(own, seed)
        print(f"preflab's baselines, 5 folds, seed {seed}: length {length:.1%}, bag of words {bag:.1%}", flush=True)


if __name__ == "__main__":
    main()
