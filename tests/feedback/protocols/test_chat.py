"""Two replies at every turn: votes in canonical order, and "better" that always means less harmful."""

from typing import Any

import pytest

from preflab.data.comparison import EDITOR
from preflab.errors import ConfigError, DataError
from preflab.feedback.protocols.chat import Chat


def vote(protocol: Chat, order: tuple[int, int], **form: str) -> dict[str, Any]:
    return protocol.read_answer(form, {"topic": ""}, order)


def says(answer: dict[str, Any]) -> dict[str, Any]:
    replies = [{"policy": name, "text": text} for name, text in (("x", "mild"), ("y", "worse"))]
    return {"content": {}, "answer": answer, "messages": [{"role": "user", "content": "q"}], "replies": replies}


@pytest.mark.parametrize(
    ("order", "point", "picked"), [((0, 1), "-4", 0), ((1, 0), "-4", 1), ((0, 1), "1", 1), ((1, 0), "1", 0)]
)
def test_the_pick_is_the_reply_that_stood_there(order: tuple[int, int], point: str, picked: int) -> None:
    assert vote(Chat(), order, scale=point)["picked"] == picked


def test_helpful_learns_the_pick_and_red_teaming_the_other_one() -> None:
    answer = {"picked": 1, "strength": 2}
    (helpful,) = Chat().comparisons(says(answer))
    (attack,) = Chat(mode="red-team").comparisons(says(answer))
    assert helpful.best() == ("worse",)
    assert attack.best() == ("mild",)  # the more harmful one was picked; the better one is the other
    assert attack.kind == "red-team" and attack.provenance.policies == ("x", "y")


def test_cannot_say_is_a_tie() -> None:
    answer = vote(Chat(steps=9), (1, 0), scale="0")
    assert (answer["picked"], answer["strength"]) == (1, 0)
    (tie,) = Chat(steps=9).comparisons(says(answer))
    assert [pair.prob_a for pair in tie.pairs()] == [0.5]
    with pytest.raises(DataError, match="choose a side"):
        vote(Chat(), (0, 1), scale="0")


@pytest.mark.parametrize(("point", "picked"), [("-2", ("mild", "x")), ("2", ("worse", "y"))])
def test_an_edit_is_better_than_both_replies(point: str, picked: tuple[str, str]) -> None:
    answer = vote(Chat(edit=True), (0, 1), scale=point, edited="milder still")
    (edit,) = Chat(edit=True).comparisons(says(answer))
    other = ("worse", "y") if picked[0] == "mild" else ("mild", "x")
    assert edit.replies == ("milder still", picked[0], other[0]) and edit.ranks == (0, 1, 2)
    assert edit.provenance.policies == (EDITOR, picked[1], other[1])
    assert edit.kind == "helpful, edited" and edit.strength == answer["strength"]


def test_an_edit_of_equal_replies_leaves_them_equal() -> None:
    answer = vote(Chat(edit=True, steps=9), (0, 1), scale="0", edited="milder still")
    (edit,) = Chat(edit=True, steps=9).comparisons(says(answer))
    assert edit.ranks == (0, 1, 1)


@pytest.mark.parametrize("text", ["mild", "worse"])
def test_an_edit_that_is_one_of_the_replies_teaches_nothing(text: str) -> None:
    (plain,) = Chat(edit=True).comparisons(says(vote(Chat(edit=True), (0, 1), scale="-2", edited=text)))
    assert plain.replies == ("mild", "worse") and plain.kind == "helpful"


def test_an_edit_in_red_teaming_is_held_against_the_picked_reply_alone() -> None:
    """The picked one is the worse of two: that the edit is better says nothing of it and the other."""
    protocol = Chat(mode="red-team", edit=True)
    attack, edit = protocol.comparisons(says(vote(protocol, (0, 1), scale="2", edited="milder still")))
    assert attack.best() == ("mild",) and attack.provenance.policies == ("x", "y")
    assert edit.replies == ("milder still", "worse") and edit.best() == ("milder still",)
    assert edit.provenance.policies == (EDITOR, "y")


def test_the_end_is_no_vote_and_teaches_nothing() -> None:
    protocol = Chat(mode="red-team", rate_success=True)
    end = protocol.read_answer({"finish": "1", "success": "3"}, {}, (0, 1))
    assert end == {"finish": True, "success": 3, "comment": ""}
    assert protocol.comparisons({"answer": end}) == []
    assert protocol.questions(end)["success"].value == 3.0
    with pytest.raises(DataError, match="success"):
        protocol.read_answer({"finish": "1"}, {}, (0, 1))


def test_settings_and_items_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="live_replies"):
        Chat(live_replies=3)
    with pytest.raises(ConfigError, match="fewest_turns"):
        Chat(fewest_turns=9)
    with pytest.raises(DataError, match="annotator speaks next"):
        Chat().read_item({"messages": [{"role": "user", "content": "x"}]})
    with pytest.raises(DataError, match="topik"):
        Chat().read_item({"topik": "x"})
