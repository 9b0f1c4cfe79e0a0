"""What a reply says of each option that it names."""

import pytest

from preflab.rollouts.requests.letter_mentions import mentions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A is polite. B is better. The answer is B.", [("B", "better"), ("B", "verdict")]),
        ("(A) because it is short", [("A", "opening")]),
        ("A is worse than B.", [("A", "worse")]),
        ("B is more honest and A is wrong.", [("B", "praise"), ("A", "blame")]),
        ("Not A, never B.", []),
        ("Is it A?", []),
        ("The answer is A or B.", [("?", "verdict"), ("B", "mention")]),
        ("The first reply wins.", [("A", "better")]),
        ("A long reply that I like", []),
        ("I choose C", [("C", "verdict")]),
    ],
)
def test_mentions_in_order(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(mention.letter, mention.weight) for mention in mentions(text, "AB")] == expected


def test_the_end_of_a_reply_is_marked_where_the_letter_stands_apart() -> None:
    assert [mention.last for mention in mentions("Take A, else B", "AB")] == [False, False]
    assert [mention.last for mention in mentions("Hm, (A), (B)", "AB")] == [False, True]


def test_ordinals_name_one_of_two_options_only() -> None:
    assert list(mentions("The second one wins.", "ABC")) == []
