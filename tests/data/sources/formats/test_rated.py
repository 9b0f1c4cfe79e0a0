"""Replies with ratings: the ratings are the ranking."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.data.dialogue import Dialogue
from preflab.data.sources.formats.rated import read, recognise
from preflab.errors import DataError, RecordRefused


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "q", "completions": ["a", "b", "c"], "ratings": [2, 5, 2]},
        {"instruction": "q", "generations": ["a", "b", "c"], "rating": ["2", "5.0", "2"]},
        {
            "question": "q",
            "responses": [{"response": "a", "score": 2}, {"response": "b", "score": 5}, {"response": "c", "score": 2}],
        },
        {
            "instruction": "q",
            "completions": [{"text": t, "overall_score": s} for t, s in (("a", 2), ("b", 5), ("c", 2))],
        },
    ],
)
def test_every_form_gives_the_same_ranking(record: dict[str, Any]) -> None:
    assert recognise(record)
    comparison = read(record)
    assert (comparison.prompt, comparison.replies) == (Dialogue.of("q"), ("a", "b", "c"))
    assert (comparison.ranks, comparison.strength) == ((1, 0, 1), 3.0)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=7))
def test_a_pair_is_ordered_as_its_ratings_are(ratings: list[int]) -> None:
    texts = [f"reply {k}" for k in range(len(ratings))]
    comparison = read({"prompt": "q", "responses": texts, "ratings": ratings})
    for pair in comparison.pairs():
        gap = ratings[pair.a] - ratings[pair.b]
        assert pair.prob_a == (0.5 if gap == 0 else float(gap > 0))


def test_who_wrote_a_reply_is_kept_where_it_is_known_of_all() -> None:
    items = [{"model": "m1", "response": "a", "score": 1}, {"model": "m2", "response": "b", "score": 2}]
    assert read({"prompt": "q", "completions": items}).provenance.policies == ("m1", "m2")
    assert read({"prompt": "q", "completions": [*items, {"response": "c", "score": 1}]}).provenance.policies == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ratings": [1, None]}, "a reply has no rating"),
        ({"ratings": [1, float("inf")]}, "ratings is not a finite number"),
        ({"responses": ["a"], "ratings": [1]}, "a comparison needs two replies"),
    ],
)
def test_a_record_without_a_ranking_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordRefused, match=reason):
        read({"prompt": "q", "responses": ["a", "b"], "ratings": [1, 2]} | change)


def test_another_number_of_ratings_stops_the_load() -> None:
    with pytest.raises(DataError, match=r"\[ratings\]: expected a list of 2 ratings, found list"):
        read({"prompt": "q", "responses": ["a", "b"], "ratings": [1, 2, 3]})


def test_two_lists_of_replies_are_not_recognised() -> None:
    assert not recognise({"prompt": "q", "responses": ["a", "b"], "answers": ["c", "d"], "ratings": [1, 2]})
    assert not recognise({"prompt": "q", "responses": ["a", "b"]})
