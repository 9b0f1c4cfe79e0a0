"""UltraFeedback-binarized: scores decide."""

from typing import Any

import pytest

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.sources.ultrafeedback import read, recognise
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
    assert read(RECORD) == Comparison.chosen_rejected(
        Dialogue.of("hi"), "yo", "go away", strength=1.5, provenance=Provenance(id="5c2f")
    )


def test_equal_scores_are_a_tie() -> None:
    found = read(RECORD | {"score_rejected": 8.5})
    assert found.strength == 0.0
    assert [pair.prob_a for pair in found.pairs()] == [0.5]


@pytest.mark.parametrize("score", [9, float("nan")])
def test_a_rejected_reply_that_scores_higher_is_refused(score: float) -> None:
    with pytest.raises(RecordRefused, match="rejected has the higher score"):
        read(RECORD | {"score_rejected": score})


def test_a_dialogue_about_something_else_is_refused() -> None:
    with pytest.raises(RecordRefused, match="does not continue the prompt"):
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
