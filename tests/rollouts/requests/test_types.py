"""Asks and answers: what they hold, how they are told apart, and that they survive being written down."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.atomic_files import json_text
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    RewardScores,
    ScoreReplies,
    UnreadableResponse,
    request_from_json,
    request_json,
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


# requests in writing ---------------------------------------------------------------------------------------

TEXTS = st.text(max_size=6)
ROLES = st.sampled_from(["policy", "judge", "pm"])
DIALOGUES = st.lists(st.text("ab ?", min_size=1, max_size=5).filter(str.strip), min_size=1, max_size=3)


def prompt_of(turns: list[str]) -> Dialogue:
    """Turns that end with the user's."""
    return Dialogue.of(*(turns if len(turns) % 2 else turns[1:]))


@given(DIALOGUES, TEXTS, st.lists(TEXTS, min_size=1, max_size=3), ROLES, st.booleans(), st.integers(0, 9))
@settings(deadline=None)
def test_requests_come_back_as_they_were_with_the_same_key(
    turns: list[str], lead: str, texts: list[str], role: Any, flag: bool, number: int
) -> None:
    dialogue = prompt_of(turns)
    prompt: Dialogue | str = dialogue if flag else lead
    requests: list[Request] = [
        OptionLogprobs(prompt=prompt, options=tuple(texts), lead=lead, closed=flag, role=role),
        Generate(prompt=prompt, lead=lead, max_new_tokens=number, stop=tuple(texts), sample=number, role=role),
        Generate(prompt=prompt, temperature=number / 2),
        ScoreReplies(prompt=dialogue, replies=tuple(texts), role=role),
    ]
    for request in requests:
        back = request_from_json(json.loads(json.dumps(request_json(request))))
        assert back == request and type(back) is type(request)
        assert request_key(back) == request_key(request)


def test_what_is_at_its_default_is_not_written_so_that_a_new_setting_keeps_old_keys() -> None:
    assert request_json(Generate(prompt="a")) == {"kind": "speak", "prompt": "a"}
    assert request_json(Generate(prompt="a", role="judge", max_new_tokens=5)) == {
        "kind": "speak",
        "prompt": "a",
        "max_new_tokens": 5,
        "whom": "judge",  # as stored requests have it
    }


def test_keys_of_stored_requests_stay_what_they_were() -> None:
    """Caches on people's disks are found by them, and draws are seeded by them."""
    assert request_key(Generate(prompt=Dialogue.of("hi"))) == "b6b1eb65d85e536446c8fb7d9de84743"
    judged = OptionLogprobs(prompt="a", options=(" b", " c"), role="judge")
    assert request_key(judged) == "cbb8e82658cb023207ce8bddb746d043"
    assert len(request_key(Generate(prompt="\ud800"))) == 32  # half a surrogate pair, which a tokenizer may give


@pytest.mark.parametrize(
    "stored",
    [{}, {"kind": "shout", "prompt": "a"}, {"kind": "speak"}, {"kind": "speak", "prompt": "a", "loud": True}],
)
def test_what_is_no_request_is_refused(stored: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="not a stored request"):
        request_from_json(stored)


@given(st.lists(st.floats(-50, 0), min_size=1, max_size=5))
@settings(deadline=None)
def test_probabilities_are_a_softmax_of_the_options_alone(logprobs: list[float]) -> None:
    scores = OptionScores(tuple(logprobs), (1,) * len(logprobs))
    total = math.fsum(math.exp(logprob) for logprob in logprobs)
    assert scores.probs == pytest.approx([math.exp(logprob) / total for logprob in logprobs])
    assert sum(scores.probs) == pytest.approx(1.0)
    assert scores.mass == pytest.approx(min(1.0, total))
    assert scores.logprobs[scores.best] == max(logprobs)
    shifted = OptionScores(tuple(logprob - 700 for logprob in logprobs), scores.tokens)
    assert shifted.probs == pytest.approx(scores.probs, rel=1e-6)


def test_what_is_not_finite_survives_being_written_as_json() -> None:
    """JSON has neither infinities nor nan; an option that cannot come and a score that is none are null there."""
    scores = OptionScores(logprobs=(-1.5, -math.inf), tokens=(1, 2))
    assert response_from_json(json.loads(json_text(response_json(scores)))) == scores
    rated = response_from_json(json.loads(json_text(response_json(RewardScores((0.5, math.nan))))))
    assert isinstance(rated, RewardScores)
    assert rated.scores[0] == 0.5 and math.isnan(rated.scores[1])
