"""UltraFeedback-binarized: scores decide."""

from typing import Any

import pytest

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.sources.formats.ultrafeedback import read, recognise
from preflab.errors import DataError, RecordRefused

USER = {"role": "user", "content": "hi"}
RECORD: dict[str, Any] = {
    "prompt": "hi",
    "prompt_id": "5c2f",
    "chosen": [USER, {"role": "assistant", "content": "yo"}],
    "rejected": [USER, {"role": "assistant", "content": "go away"}],
    "messages": [USER, {"role": "assistant", "content": "yo"}],
    "score_chosen": 8.5,
    "score_rejected": 7,
}


def test_the_difference_of_the_scores_is_the_strength() -> None:
    assert recognise(RECORD)
    assert read(RECORD) == [
        Comparison.chosen_rejected(Dialogue.of("hi"), "yo", "go away", strength=1.5, provenance=Provenance(id="5c2f"))
    ]


def test_equal_scores_are_a_tie() -> None:
    (comparison,) = read(RECORD | {"score_rejected": 8.5})
    assert comparison.strength == 0.0
    assert [pair.prob_a for pair in comparison.pairs()] == [0.5]


@pytest.mark.parametrize(
    ("score", "reason"), [(9, "rejected has the higher score"), (float("nan"), "score_rejected is not a finite number")]
)
def test_scores_that_contradict_the_choice_or_are_none_are_refused(score: float, reason: str) -> None:
    with pytest.raises(RecordRefused, match=reason):
        read(RECORD | {"score_rejected": score})


def test_messages_that_do_not_repeat_the_chosen_side_are_refused() -> None:
    with pytest.raises(RecordRefused, match="messages and chosen differ"):
        read(RECORD | {"messages": RECORD["rejected"]})


def test_a_dialogue_about_something_else_is_refused() -> None:
    with pytest.raises(RecordRefused, match="a side neither repeats the prompt nor begins with the assistant's reply"):
        read(RECORD | {"prompt": "other"})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"score_chosen": None}, r"\[score_chosen\]: expected a number, found NoneType"),
        ({"chosen": "yo"}, r"\[chosen\]: expected a list of messages"),
    ],
)
def test_a_malformed_record_stops_the_load(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        read(RECORD | change)
