"""What counts as a judge's answer, and what as none."""

import math

import pytest

from preflab.data.dialogue import Dialogue
from preflab.rollouts.requests.llm_judge import (
    BOTH,
    NEITHER,
    ask_letter,
    ask_yes,
    option_probability,
    parse_first_option,
    parse_yes,
    transcript,
)
from preflab.rollouts.requests.types import Generation, OptionScores, Unscorable


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Yes", True),
        ("yes.", True),
        ("No, since the moon is not a star. Yes or no is hard.", False),
        ("Answer: No", False),
        ("**Yes**", True),
        ("I would say yes.", True),
        ("In my view: no.", False),
        ("I would say yes and no.", BOTH),
        ("Perhaps. Nobody knows.", NEITHER),
        ("Nothing of note, yesterday's news.", NEITHER),
        ("  ", "the model said nothing"),
    ],
)
def test_yes_and_no_in_words(said: str, expected: bool | str) -> None:
    if isinstance(expected, bool):
        assert parse_yes(Generation(said)) is expected
    else:
        with pytest.raises(Unscorable, match=expected):
            parse_yes(Generation(said))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("(A)", True),
        ("B", False),
        ("B.", False),
        ("**(B)** because it is kinder.", False),
        ("The answer is (A).", True),
        ("The better reply is B.", False),
        ("Answer: B", False),
        ("(A) is better than (B).", True),
        ("I prefer (B).", False),
        ("Reply B is kinder.", False),
        ("A good reply would be longer.", NEITHER),
        ("Both are bad.", NEITHER),
        ("Either (A) or (B).", BOTH),
        ("", "the model said nothing"),
    ],
)
def test_letters_in_words(said: str, expected: bool | str) -> None:
    if isinstance(expected, bool):
        assert parse_first_option(Generation(said)) is expected
    else:
        with pytest.raises(Unscorable, match=expected):
            parse_first_option(Generation(said))


def test_a_share_is_of_the_two_options_and_needs_a_hundredth_of_the_probability() -> None:
    """0.03 and 0.01 make three quarters; 0.006 and 0.003 hold less than a hundredth."""
    assert option_probability(OptionScores((math.log(0.03), math.log(0.01)), (1, 1))) == pytest.approx(0.75)
    assert option_probability(OptionScores((math.log(0.03), math.log(0.01)), (1, 1)), 1) == pytest.approx(0.25)
    with pytest.raises(Unscorable, match=NEITHER):
        option_probability(OptionScores((math.log(0.006), math.log(0.003)), (1, 1)))


def test_questions_hold_both_texts_in_order_and_name_who_answers() -> None:
    ask = ask_letter("Which?", "one ", " two", whom="policy")
    text = ask.prompt.messages[0].text if isinstance(ask.prompt, Dialogue) else ""
    assert text.index("(A) one\n") < text.index("(B) two\n")
    assert (ask.options, ask.whom, ask_yes("So?").whom) == ((" (A)", " (B)"), "policy", "judge")


def test_a_conversation_is_told_by_its_speakers() -> None:
    told = transcript(Dialogue.of("hi ", "hello", "bye", system="be kind"))
    assert told == "System: be kind\n\nUser: hi\n\nAssistant: hello\n\nUser: bye"
