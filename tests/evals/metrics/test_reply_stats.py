"""Facts about replies, counted by hand."""

import pytest

from preflab.evals.metrics.reply_stats import distinct_n, reply_facts


def test_distinct_n_counts_different_n_grams_over_all() -> None:
    texts = ["a b a b", "a b"]
    assert distinct_n(texts, 1) == pytest.approx(2 / 6)  # a, b of six words
    assert distinct_n(texts, 2) == pytest.approx(2 / 4)  # ab, ba of ab ba ab | ab
    assert distinct_n(texts, 3) == 1.0  # aba, bab of the first text only
    assert distinct_n(["a"], 2) == 0.0


def test_facts_of_a_set_of_replies() -> None:
    facts = reply_facts(["one two", " one two ", "", "x y z w"])
    assert (facts.n, facts.mean_words, facts.median_words) == (4, 2.0, 2.0)
    assert facts.empty_share == 0.25
    assert facts.commonest_share == 0.5
