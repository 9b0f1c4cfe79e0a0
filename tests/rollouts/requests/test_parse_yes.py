"""Whether a reply says yes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.rollouts.requests.parse_reply import BOTH, NEITHER
from preflab.rollouts.requests.parse_yes import parse_yes, reasons_for
from preflab.rollouts.requests.types import CUT_AT_LIMIT, Generation, UnreadableResponse


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
        ("No errors that I can see. Final answer: yes", True),
        ("No doubt at all: that is so. Yes.", True),
        ("The reply says yes. That is false, so: No.", False),
        ("[[no]]", False),
        ("Incorrect.", False),
        ("Not true.", False),
        ("The answer is correct.", True),
        ("No. Wait, I misread it. Yes.", True),
        ("Is it true? No.", False),
        ("<think>yes</think>no", False),
        ("I would say yes and no.", BOTH),
        ("Yes, it is kind. No, it is not true, as shown.", BOTH),
        ("There is no false claim in it.", NEITHER),
        ('It says "yes" to everything.', NEITHER),
        ("Perhaps. Nobody knows.", NEITHER),
        ("Nothing of note, yesterday's news.", NEITHER),
        ("  ", "the model said nothing"),
    ],
)
def test_yes_and_no_in_words(text: str, expected: bool | str) -> None:
    if isinstance(expected, bool):
        assert parse_yes(Generation(text)) is expected
    else:
        with pytest.raises(UnreadableResponse, match=expected):
            parse_yes(Generation(text))


def test_the_reason_names_who_answered_and_a_cut_reply_is_no_answer() -> None:
    with pytest.raises(UnreadableResponse, match="the model answers neither"):
        parse_yes(Generation("Perhaps."), **reasons_for("model"))
    with pytest.raises(UnreadableResponse, match=CUT_AT_LIMIT):
        parse_yes(Generation("Yes, but", finished=False))


VERDICTS = (
    "{x}",
    "Answer: {x}",
    "So the answer is {x}.",
    "Final verdict: **{x}**",
    "Therefore: {x}!",
    "My answer: ({x})",
)
DISTRACTORS = (
    "No mistakes stand out.",
    "Is it so? ",
    'It says "yes" once.',
    "There is no doubt.",
    "No one would object.",
)


@given(st.sampled_from(VERDICTS), st.booleans(), st.lists(st.sampled_from(DISTRACTORS), max_size=4), st.booleans())
def test_the_stated_answer_is_read_among_distractors(
    verdict: str, right: bool, distractors: list[str], capital: bool
) -> None:
    word = "yes" if right else "no"
    text = "\n".join([*distractors, verdict.format(x=word.capitalize() if capital else word)])
    assert parse_yes(Generation(text)) is right
