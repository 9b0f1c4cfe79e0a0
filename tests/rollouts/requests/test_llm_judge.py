"""Questions to a judge, and the probabilities that are read from its responses."""

import math
from typing import Any

import pytest

from preflab.data.dialogue import Dialogue
from preflab.rollouts.requests.llm_judge import (
    ask_letter,
    ask_yes,
    choice_prompt,
    letter_probabilities,
    option_probabilities,
    preference_in_both_orders,
    transcript,
    yes_probabilities,
)
from preflab.rollouts.requests.parse_reply import NEITHER
from preflab.rollouts.requests.types import Generation, OptionScores, UnreadableResponse


def scores(*probs: float) -> OptionScores:
    return OptionScores(tuple(math.log(p) for p in probs), (1,) * len(probs))


def send(judge_round: Any, responses: list[Any]) -> tuple[list[Any], Any]:
    """The requests of a round, and its verdict on these responses."""
    requests = next(judge_round)
    with pytest.raises(StopIteration) as end:
        judge_round.send(responses)
    return requests, end.value.value


def text_of(request: Any) -> str:
    assert isinstance(request.prompt, Dialogue)
    return request.prompt.messages[0].text


def test_a_share_is_of_the_options_and_needs_a_hundredth_of_the_probability() -> None:
    """0.03 and 0.01 make three quarters; 0.006 and 0.003 hold less than a hundredth."""
    assert option_probabilities(scores(0.03, 0.01)) == pytest.approx((0.75, 0.25))
    with pytest.raises(UnreadableResponse, match=NEITHER):
        option_probabilities(scores(0.006, 0.003))


def test_questions_hold_both_texts_in_order_and_name_who_answers() -> None:
    request = ask_letter(choice_prompt("Which?", "one ", " two"), role="policy")
    assert text_of(request).index("(A) one\n") < text_of(request).index("(B) two\n")
    assert (request.options, request.role, ask_yes("So?").role) == ((" (A)", " (B)"), "policy", "judge")


def test_yes_by_probability_and_by_generation() -> None:
    requests, verdicts = send(yes_probabilities(["Is it?", "Was it?"], by_generation=False), [scores(0.6, 0.2)] * 2)
    assert [text_of(request)[:7] for request in requests] == ["Is it?\n", "Was it?"]
    assert verdicts == pytest.approx([0.75, 0.75])
    written = [Generation("Yes."), Generation("No.")]
    assert send(yes_probabilities(["Is it?", "Was it?"], by_generation=True), written)[1] == [1.0, 0.0]


def test_letters_by_probability_and_by_generation() -> None:
    prompt = Dialogue.of("Which of three?")
    requests, verdicts = send(letter_probabilities([prompt], "ABC", by_generation=False), [scores(0.2, 0.1, 0.1)])
    assert requests[0].options == (" (A)", " (B)", " (C)")
    assert verdicts == [pytest.approx((0.5, 0.25, 0.25))]
    assert send(letter_probabilities([prompt], "ABC", by_generation=True), [Generation("(C)")])[1] == [(0.0, 0.0, 1.0)]


def test_a_preference_is_that_for_the_first_text_wherever_it_is_shown() -> None:
    """The judge gives (A) 0.8 in both orders: 0.8 for ``a`` when shown first, 0.2 when shown second."""
    requests, verdict = send(
        preference_in_both_orders("Which?", "one", "two", by_generation=False), [scores(0.8, 0.2)] * 2
    )
    assert ["(A) one" in text_of(request) for request in requests] == [True, False]
    assert verdict == pytest.approx((0.8, 0.2))
    written = [Generation("(A)"), Generation("(A)")]
    assert send(preference_in_both_orders("Which?", "one", "two", by_generation=True), written)[1] == (1.0, 0.0)


def test_a_conversation_is_told_by_its_speakers() -> None:
    text = transcript(Dialogue.of("hi ", "hello", "bye", system="be kind"))
    assert text == "System: be kind\n\nUser: hi\n\nAssistant: hello\n\nUser: bye"
