"""What a side is, and which columns speak of both sides."""

import json

import pytest

from preflab.data.dialogue import Message
from preflab.data.sources.pairs import is_side, is_text_side, judged_pairs, score_columns
from preflab.errors import DataError, RecordRefused

TURN = {"role": "assistant", "content": "a"}
ASKED = (Message("user", "q"),)


@pytest.mark.parametrize("value", ["a", TURN, [TURN], ["a", "b"], json.dumps([TURN])])
def test_what_may_be_a_side(value: object) -> None:
    assert is_side(value)


@pytest.mark.parametrize("value", [None, 3, [], [3], ["a", 3]])
def test_what_is_no_side(value: object) -> None:
    assert not is_side(value)


def test_a_side_of_text_holds_no_prompt_of_its_own() -> None:
    assert [is_text_side(value) for value in ("a", ["a", "b"], TURN, [TURN], json.dumps([TURN]))] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_the_columns_of_scores_are_found_by_their_two_names() -> None:
    assert score_columns({"score_chosen": 1, "score_rejected": 2}) == ("score_chosen", "score_rejected")
    assert score_columns({"chosen_avg_rating": 1, "rejected_avg_rating": 2}) == (
        "chosen_avg_rating",
        "rejected_avg_rating",
    )
    assert score_columns({"score_chosen": 1}) is None
    assert score_columns({"chosen_length": 1, "rejected_length": 2}) is None


def test_equal_scores_beside_a_margin_are_a_tie_and_a_margin_alone_is_not() -> None:
    record = {"chosen": "a", "rejected": "b", "margin": 0.5}
    assert judged_pairs(record, ASKED)[0].ranks == (0, 1)
    scored = judged_pairs(record | {"chosen_score": 2, "rejected_score": 2}, ASKED)[0]
    assert (scored.ranks, scored.strength) == ((0, 0), 0.5)
    empty = judged_pairs(record | {"chosen_score": None, "rejected_score": None}, ASKED)[0]
    assert (empty.ranks, empty.strength) == ((0, 1), 0.5)


def test_a_score_of_one_side_alone_stops_the_load() -> None:
    with pytest.raises(DataError, match=r"\[rejected_score\]: expected a number, found NoneType"):
        judged_pairs({"chosen": "a", "rejected": "b", "chosen_score": 2, "rejected_score": None}, ASKED)


def test_one_text_among_several_that_equals_the_chosen_refuses_the_record() -> None:
    with pytest.raises(RecordRefused, match="better than the same text"):
        judged_pairs({"chosen": "a", "rejected": ["b", "a"]}, ASKED)
