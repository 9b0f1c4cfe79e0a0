"""The option that a reply decides for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.rollouts.requests.parse_letter import parse_letter
from preflab.rollouts.requests.parse_reply import BOTH, EQUAL, NEITHER
from preflab.rollouts.requests.types import CUT_AT_LIMIT, CUT_IN_THOUGHT, Generation, UnreadableResponse


def read(text: str, letters: str = "AB", **more: tuple[str, ...]) -> str:
    """The letter, or the reason why there is none."""
    try:
        return parse_letter(Generation(text), letters, **more)
    except UnreadableResponse as error:
        return str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(A)", "A"),
        ("b", "B"),
        ("**(B)** because it is kinder.", "B"),
        ("[[A]]", "A"),
        ("<answer>B</answer>", "B"),
        ("The better reply is B.", "B"),
        ("Reply A rambles and errs. My verdict: [[B]]", "B"),
        ("Response A dodges the point. I would choose B.", "B"),
        ("Reply A is much too long, so the stronger one is plainly B.", "B"),
        ("(A) is better than (B).", "A"),
        ("A is worse than B.", "B"),
        ("The more harmful reply is A.", "B"),
        ("I prefer the second one.", "B"),
        ("Reply 1 wins.", "A"),
        ("A: wrong. B: right.", "B"),
        ("The answer is A, since (B) is rude.", "A"),
        ("I don't prefer A. I prefer B over A.", "B"),
        ("Response B is kinder in tone. Overall, A wins.", "A"),
        ("Neither is good. If I must, A", "A"),
        ("The verdict is not A but B.", "B"),
        ("I\u2019d pick \u201cB\u201d.", "B"),
        ("A good reply would be longer.", NEITHER),
        ("Reply B is kind of long.", NEITHER),
        ("Both are bad.", NEITHER),
        ("Either (A) or (B).", BOTH),
        ("The answer is C.", NEITHER),
        ("The answer is A or B.", BOTH),
        ("A is more helpful. B is more honest.", BOTH),
        ("Both are equally good.", EQUAL),
        ("It is a tie.", EQUAL),
        ("Could it be A?", NEITHER),
        ("It might be B.", NEITHER),
        ("The answer is B, but that is wrong.", NEITHER),
        ("A\nB", BOTH),
        ("", "the model said nothing"),
    ],
)
def test_verdicts_on_two_replies(text: str, expected: str) -> None:
    assert read(text) == expected


CITIES = ("Paris", "Rome", "Oslo", "New Rome")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c", "C"),
        ("(c)", "C"),
        ("C. Oslo", "C"),
        ("d) New Rome", "D"),
        ("Answer: B because A river runs there.", "B"),
        ("Is it A? No, that is in France. The answer is C.", "C"),
        ("I first thought of B, but B is wrong; the right answer is D.", "D"),
        ("A close look leaves option C.", "C"),
        ("We can rule out A, B and D. So C.", "C"),
        ("\\boxed{B}", "B"),
        ("Answer: $B$", "B"),
        ("The answer is **B)**", "B"),
        ("The wrong ones are B and C; it must be (A).", "A"),
        ("Option B is correct because A is false.", "B"),
        ("Rome", "B"),
        ("It is New Rome.", "D"),  # not Rome, whose name stands within
        ("The answer is a river.", NEITHER),
        ("Paris or Oslo", BOTH),
        ("I do not know.", NEITHER),
    ],
)
def test_one_of_four_options(text: str, expected: str) -> None:
    assert read(text, "ABCD", texts=CITIES) == expected


def test_a_reply_that_was_cut_is_no_answer_whatever_it_mentions() -> None:
    for text, reason in (("The answer is A, or perhaps", CUT_AT_LIMIT), ("<think>It is (A), since", CUT_IN_THOUGHT)):
        with pytest.raises(UnreadableResponse, match=reason):
            parse_letter(Generation(text, finished=False), "AB")


VERDICTS = (
    "The answer is {x}.",
    "The correct answer is {x}, for the reason above.",
    "Final answer: {x}",
    "Final verdict: [[{X}]]",
    "**Verdict:** {x}",
    "I choose {x}.",
    "I would go with {x}.",
    "Therefore, the better one is clearly {x}.",
    "So {x}.",
    "My choice: {x}",
    "\\boxed{{{X}}}",
    "Thus the best option is {x} because it is right.",
    "{X}",
)
WRITINGS = ("{X}", "({X})", "**{X}**", "`{X}`", "({lower})", "option {X}", "[{X}]", '"{X}"')
DISTRACTORS = (
    "Option {y} is long and vague.",
    "At first I thought the answer is {y}.",
    "Is it {y}?",
    "It could be ({y}), at a first glance.",
    "({y}) is wrong.",
    "The answer is not {y}.",
    "Some would say {y}, if they were in a hurry.",
    "A careful reader looks twice.",
    "{y} cannot be right.",
    "We can rule out {y}.",
    "The worst one is {y}, if any.",
)
LETTERS = st.sampled_from("ABCD")


@settings(max_examples=400)
@given(
    right=LETTERS,
    verdict=st.sampled_from(VERDICTS),
    writing=st.sampled_from(WRITINGS),
    distractors=st.lists(st.tuples(st.sampled_from(DISTRACTORS), LETTERS), max_size=4),
    thought=st.booleans(),
    separator=st.sampled_from([" ", "\n", "\n\n"]),
)
def test_the_stated_answer_is_read_among_distractors(
    right: str, verdict: str, writing: str, distractors: list[tuple[str, str]], thought: bool, separator: str
) -> None:
    """Whatever is considered, asked or denied before it, the letter that the verdict states comes out."""
    stated = verdict.format(x=writing.format(X=right, lower=right.lower()), X=right)
    before = separator.join(text.format(y=letter) for text, letter in distractors if letter != right)
    if thought:
        before = f"<think>{before} The answer is A. No, B.</think>"
    last = "\n" if verdict == "{X}" else separator
    assert read(f"{before}{last}{stated}", "ABCD") == right


@given(st.lists(LETTERS, min_size=1, max_size=4), st.lists(st.sampled_from(VERDICTS[:8]), min_size=4, max_size=4))
def test_of_several_verdicts_the_last_counts(stated: list[str], verdicts: list[str]) -> None:
    text = "\n".join(verdict.format(x=letter, X=letter) for letter, verdict in zip(stated, verdicts, strict=False))
    assert read(text, "ABCD") == stated[-1]


@given(st.text(st.sampled_from("ABCDEabcd ().[]*:?!\n\"'-isnowerth"), max_size=60))
def test_any_text_gives_one_of_the_letters_or_a_reason(text: str) -> None:
    answer = read(text, "ABCD")
    assert answer in "ABCD" or answer in (NEITHER, BOTH, EQUAL, "the model said nothing")
