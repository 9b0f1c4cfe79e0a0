"""Comparisons of one dialogue find each other; rows that grow turn by turn hold what each reply has alone."""

from hypothesis import given
from hypothesis import strategies as st

from preflab.data.comparison import Comparison
from preflab.data.conversations import graft, group_by_conversation
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row


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


# one row -------------------------------------------------------------------------------------------------


def isolated(row: Row) -> list[Row]:
    return [row.isolate(k) for k in range(len(row.replies))]


def test_a_second_turn_hangs_on_the_reply_it_goes_on_from() -> None:
    row = Row.of([1, 2], [3, 9], [4, 5, 9])
    grown = graft(row, [1, 2, 4, 5, 9, 6, 7], [8, 9], [10, 9])
    assert grown == Row(
        segments=((1, 2), (3, 9), (4, 5, 9), (6, 7), (8, 9), (10, 9)),
        parents=(-1, 0, 0, 2, 3, 3),
        replies=(1, 2, 4, 5),
    )
    assert len(grown) == 13  # one by one the replies take 4 + 5 + 9 + 9
    assert grown.path_tokens == 27


def test_a_turn_right_behind_a_reply_needs_no_segment_between() -> None:
    grown = graft(Row.of([1], [2]), [1, 2], [3])
    assert grown == Row(((1,), (2,), (3,)), (-1, 0, 1), (1, 2))


def test_a_reply_that_nobody_compared_still_shares_the_prompt() -> None:
    grown = graft(Row.of([1, 2], [3]), [1, 2, 7, 8], [9])
    assert grown == Row(((1, 2), (3,), (7, 8), (9,)), (-1, 0, 0, 2), (1, 3))


def test_another_beginning_shares_nothing() -> None:
    row = Row.of([1, 2], [3])
    assert graft(row, [1, 5, 2], [3]) is None
    assert graft(row, [1], [2]) is None  # leaves the row within its first segment
    assert graft(row, [2, 1, 2, 3], [4]) is None


def test_a_segment_that_only_begins_alike_is_not_shared() -> None:
    grown = graft(Row.of([1], [2, 3, 4]), [1, 2, 3, 5], [6])
    assert grown is not None
    assert grown.segments == ((1,), (2, 3, 4), (2, 3, 5), (6,))
    assert grown.parents == (-1, 0, 0, 2)


tokens = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(tokens, st.lists(tokens, min_size=1, max_size=3), st.lists(st.tuples(tokens, st.lists(tokens, min_size=1))))
def test_every_reply_has_the_tokens_it_has_alone(
    root: list[int], first: list[list[int]], turns: list[tuple[list[int], list[list[int]]]]
) -> None:
    row, expected = Row.of(root, *first), [Row.of(root, r) for r in first]
    for prefix, replies in turns:
        grown = graft(row, root + prefix, *replies)
        assert grown is not None
        row, expected = grown, expected + [Row.of(root + prefix, r) for r in replies]
    assert isolated(row) == expected
