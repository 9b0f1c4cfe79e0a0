"""Asks and answers: what they hold, how they are told apart, and that they survive being written down."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Response,
    RewardScores,
    ScoreReplies,
    UnreadableResponse,
    request_key,
    response_from_json,
    response_json,
)

PROMPT = Dialogue.of("What is the capital of Portugal?")


def test_probabilities_of_options() -> None:
    found = OptionScores((math.log(0.2), math.log(0.1), math.log(0.1)), (1, 2, 4))
    assert found.best == 0
    assert found.probs == pytest.approx((0.5, 0.25, 0.25))
    assert found.mass == pytest.approx(0.4)
    assert found.per_token == pytest.approx((math.log(0.2), math.log(0.1) / 2, math.log(0.1) / 4))


def test_very_unlikely_options_still_have_probabilities() -> None:
    assert OptionScores((-2000.0, -2001.0), (1, 1)).probs == pytest.approx((1 / (1 + math.exp(-1)), 1 / (1 + math.e)))


def test_of_equals_the_first_is_best() -> None:
    assert OptionScores((-1.0, -1.0), (1, 1)).best == 0


def test_nothing_said_cannot_be_scored() -> None:
    assert Generation(" yes ").require_text() == "yes"
    with pytest.raises(UnreadableResponse, match="the model said nothing"):
        Generation(" \n").require_text()


@pytest.mark.parametrize(
    "other",
    [
        OptionLogprobs(prompt=PROMPT, options=("a", "c")),
        OptionLogprobs(prompt=PROMPT, options=("a", "b"), lead="The"),
        OptionLogprobs(prompt=PROMPT, options=("a", "b"), closed=True),
        OptionLogprobs(prompt=PROMPT, options=("a", "b"), role="judge"),
        OptionLogprobs(prompt="What is the capital of Portugal?", options=("a", "b")),
        ScoreReplies(prompt=PROMPT, replies=("a", "b")),
        Generate(prompt=PROMPT),
        Generate(prompt=PROMPT, sample=1),
    ],
)
def test_different_asks_have_different_keys(other: OptionLogprobs | ScoreReplies | Generate) -> None:
    ask = OptionLogprobs(prompt=PROMPT, options=("a", "b"))
    assert request_key(ask) == request_key(
        OptionLogprobs(prompt=Dialogue.of("What is the capital of Portugal?"), options=("a", "b"))
    )
    assert request_key(other) != request_key(ask)


@given(st.lists(st.floats(-1e6, 0), min_size=1, max_size=4), st.text())
def test_answers_come_back_as_they_were(numbers: list[float], text: str) -> None:
    own = tuple(numbers)
    answers: list[Response] = [
        OptionScores(own, (1,) * len(own), True),
        Generation(text, 3, False),
        RewardScores(own),
        Failure("too long"),
    ]
    for answer in answers:
        assert response_from_json(json.loads(json.dumps(response_json(answer)))) == answer


@pytest.mark.parametrize("found", [{}, {"kind": "shouted"}, {"kind": "spoken", "loud": True}])
def test_what_is_no_answer_is_refused(found: dict[str, object]) -> None:
    with pytest.raises(DataError, match="not a stored response"):
        response_from_json(found)
