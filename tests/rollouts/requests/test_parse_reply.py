"""What counts as an answer in a reply, and what as none."""

import pytest

from preflab.rollouts.requests.parse_reply import BOTH, NEITHER, parse_letter, parse_yes, require_one
from preflab.rollouts.requests.types import Generation, UnreadableResponse

EMPTY = "the model said nothing"


@pytest.mark.parametrize(
    ("text", "expected"),
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
        ("  ", EMPTY),
    ],
)
def test_yes_and_no_in_words(text: str, expected: bool | str) -> None:
    if isinstance(expected, bool):
        assert parse_yes(Generation(text)) is expected
    else:
        with pytest.raises(UnreadableResponse, match=expected):
            parse_yes(Generation(text))


def test_the_reason_names_who_answered() -> None:
    with pytest.raises(UnreadableResponse, match="the model answers neither"):
        parse_yes(Generation("Perhaps."), responder="model")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(A)", "A"),
        ("B", "B"),
        ("B.", "B"),
        ("**(B)** because it is kinder.", "B"),
        ("The answer is (A).", "A"),
        ("The better reply is B.", "B"),
        ("Answer: B", "B"),
        ("(A) is better than (B).", "A"),
        ("I prefer (B).", "B"),
        ("Reply B is kinder.", "B"),
        ("A good reply would be longer.", NEITHER),
        ("Both are bad.", NEITHER),
        ("Either (A) or (B).", BOTH),
        ("The answer is C.", NEITHER),
        ("", EMPTY),
    ],
)
def test_letters_in_words(text: str, expected: str) -> None:
    if expected in "AB" and expected:
        assert parse_letter(Generation(text), "AB") == expected
    else:
        with pytest.raises(UnreadableResponse, match=expected):
            parse_letter(Generation(text), "AB")


def test_letters_and_cues_are_those_that_are_given() -> None:
    assert parse_letter(Generation("The answer is C."), "ABC") == "C"
    assert parse_letter(Generation("It fits statement C."), "ABC", cues=("statement",)) == "C"
    with pytest.raises(UnreadableResponse, match=NEITHER):
        parse_letter(Generation("It fits statement C."), "ABC")


def test_one_answer_however_often_it_is_given() -> None:
    assert require_one([3, 3], none="none", several="several") == 3
    for answers, reason in (([], "none"), ([1, 2], "several")):
        with pytest.raises(UnreadableResponse, match=reason):
            require_one(answers, none="none", several="several")
