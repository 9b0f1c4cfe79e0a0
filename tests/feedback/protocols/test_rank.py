"""Comparing stored replies: what the page sends, in canonical order, and what is learned from it."""

from typing import Any

import pytest

from preflab.errors import ConfigError, DataError
from preflab.feedback.protocols.protocol import AnsweredQuestion
from preflab.feedback.protocols.rank import FLAGS, Rank

PAIR: dict[str, Any] = {"prompt": "Hi", "replies": ["one", "two"]}


def judged(protocol: Rank, record: dict[str, Any], form: dict[str, str], order: tuple[int, ...]) -> dict[str, Any]:
    return protocol.read_answer(form, protocol.read_item(record), order)


@pytest.mark.parametrize(
    ("order", "point", "ranks", "strength"),
    [
        ((0, 1), "-3", [0, 1], 3),  # the left one is reply 0: it is better
        ((1, 0), "-3", [1, 0], 3),  # the left one is reply 1
        ((0, 1), "2", [1, 0], 2),
        ((1, 0), "2", [0, 1], 2),
        ((1, 0), "0", [0, 0], 0),  # cannot say: a tie, kept as one
    ],
)
def test_a_point_on_the_scale_is_put_in_canonical_order(
    order: tuple[int, int], point: str, ranks: list[int], strength: int
) -> None:
    answer = judged(Rank(), PAIR, {"scale": point}, order)
    assert (answer["ranks"], answer["strength"]) == (ranks, strength)


def test_swapping_the_sides_and_the_point_changes_nothing() -> None:
    for point in range(-4, 5):
        here = judged(Rank(), PAIR, {"scale": str(point)}, (0, 1))
        assert here == judged(Rank(), PAIR, {"scale": str(-point)}, (1, 0))


@pytest.mark.parametrize("point", ["", "5", "-5", "x", "1.5", "٣"])
def test_what_is_not_on_the_scale_is_refused(point: str) -> None:
    with pytest.raises(DataError, match=r"\[scale\]"):
        judged(Rank(), PAIR, {"scale": point}, (0, 1))


def test_an_even_scale_has_no_middle() -> None:
    assert Rank(steps=8).scale == [-4, -3, -2, -1, 1, 2, 3, 4]
    with pytest.raises(DataError, match="choose a side"):
        judged(Rank(steps=8), PAIR, {"scale": "0"}, (0, 1))


def test_an_order_of_four_with_a_tie() -> None:
    """On the screen stand 2, 0, 3, 1; they were put at places 1, 2, 2, 4."""
    record = {"prompt": "Hi", "replies": ["a", "b", "c", "d"]}
    form = {"rank_0": "1", "rank_1": "2", "rank_2": "2", "rank_3": "4"}
    answer = judged(Rank(), record, form, (2, 0, 3, 1))
    assert answer["ranks"] == [1, 2, 0, 1]  # a and d share the second place, b is last, c is best
    with pytest.raises(DataError, match="ties are off"):
        judged(Rank(ties=False), record, form, (2, 0, 3, 1))


def test_ratings_and_flags_follow_their_reply() -> None:
    form = {"scale": "1", "quality_0": "7", "quality_1": "2", "flag_made_up_1": "1", "comment": " why \r\n not "}
    answer = judged(Rank(quality=True, flags=("all",)), PAIR, form, (1, 0))
    assert answer["quality"] == [2, 7]  # the left one, rated 7, is reply 1
    assert answer["flags"] == [["made_up"], []]
    assert answer["comment"] == "why \n not"
    assert len(Rank(flags=("all",)).shown_flags) == len(FLAGS) == 11  # table 3 without overall quality


def test_gold_is_right_only_when_the_best_is_first_and_something_is_decided() -> None:
    content = Rank().read_item({**PAIR, "best": 1})
    assert Rank().right({"ranks": [1, 0]}, content) is True
    assert Rank().right({"ranks": [0, 1]}, content) is False
    assert Rank().right({"ranks": [0, 0]}, content) is False  # "cannot say" is not right
    assert Rank().right({"ranks": [1, 0]}, Rank().read_item(PAIR)) is None


def test_a_tie_is_learned_as_a_tie_and_strength_is_kept() -> None:
    says = {"content": Rank().read_item({**PAIR, "policies": ["x", "y"]})}
    (tie,) = Rank().comparisons({**says, "answer": {"ranks": [0, 0], "strength": 0}})
    assert [pair.prob_a for pair in tie.pairs()] == [0.5]
    (decided,) = Rank().comparisons({**says, "answer": {"ranks": [1, 0], "strength": 3}})
    assert (decided.best(), decided.strength, decided.provenance.policies) == (("two",), 3.0, ("x", "y"))


def test_questions_are_signed_towards_the_first_reply() -> None:
    found = Rank().questions({"ranks": [0, 1], "strength": 3})
    assert found == {"preference": AnsweredQuestion(1.0, "nominal"), "strength": AnsweredQuestion(3.0, "interval")}
    assert Rank().questions({"ranks": [0, 1, 1], "strength": None})["preference 1:2"] == AnsweredQuestion(
        0.0, "nominal"
    )


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"replies": ["a", "b"]}, "prompt"),
        ({"prompt": "x", "replies": ["a"]}, "replies"),
        ({"prompt": "x", "replies": ["a", 3]}, "replies"),
        ({"prompt": "x", "replies": ["a", "b"], "policies": ["p"]}, "policies"),
        ({"prompt": "x", "replies": ["a", "b"], "best": 2}, "best"),
        ({"prompt": "x", "replies": ["a", "b"], "reply": "c"}, "reply"),
        ({"prompt": [{"role": "assistant", "content": "x"}], "replies": ["a", "b"]}, "prompt"),
    ],
)
def test_a_bad_item_is_refused_by_field(record: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError, match=rf"\[{field}\]"):
        Rank().read_item(record)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[2, 11\]"):
        Rank(steps=1)
    with pytest.raises(ConfigError, match="unknown 'made up'"):
        Rank(flags=("made up",))
