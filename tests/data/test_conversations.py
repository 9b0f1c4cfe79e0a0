"""Comparisons of one dialogue find each other."""

from preflab.data.comparison import Comparison
from preflab.data.conversations import group_by_conversation
from preflab.data.dialogue import Dialogue


def compare(*turns: str, replies: tuple[str, ...] = ("good", "bad")) -> Comparison:
    return Comparison(prompt=Dialogue.of(*turns), replies=replies, ranks=tuple(range(len(replies))))


def test_turns_of_one_dialogue_are_joined_whatever_their_order() -> None:
    first, second, third = compare("a"), compare("a", "good", "b"), compare("a", "good", "b", "bad", "c")
    other = compare("x")
    assert group_by_conversation([third, other, first, second]) == [[first, second, third], [other]]


def test_a_turn_that_follows_a_reply_nobody_compared_stands_alone() -> None:
    first, second = compare("a"), compare("a", "something else", "b")
    assert group_by_conversation([first, second]) == [[first], [second]]


def test_a_turn_left_out_in_between_does_not_part_a_dialogue() -> None:
    first, third = compare("a"), compare("a", "good", "b", "unjudged", "c")
    assert group_by_conversation([first, third]) == [[first, third]]


def test_repeated_prompts_are_kept_apart() -> None:
    one, two = compare("a"), compare("a", replies=("fine", "poor"))
    assert group_by_conversation([one, two]) == [[one], [two]]
    assert group_by_conversation([]) == []
