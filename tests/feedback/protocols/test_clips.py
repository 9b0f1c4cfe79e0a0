"""Comparing clips: what an item may be, and answers in terms of the clips, whichever side they stood on."""

from typing import Any

import pytest

from preflab.data.store.open import Store
from preflab.errors import DataError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.judged_comparisons import comparisons_of
from preflab.feedback.protocols.clips import Clips
from tests.feedback.conftest import make, somebody

A, B = f"{'a' * 64}.gif", f"{'b' * 64}.webp"
STUDY = f"name: s\nprotocol: clips\nitems: [{{films: [{A}, {B}], clips: [12, 3]}}]\n"


@pytest.mark.parametrize(
    ("shown", "order", "kept"),
    [
        ("left", (0, 1), "left"),
        ("right", (0, 1), "right"),
        ("left", (1, 0), "right"),  # on the left stood the second clip
        ("right", (1, 0), "left"),
        ("tie", (1, 0), "tie"),
        ("cannot tell", (0, 1), "cannot tell"),
    ],
)
def test_an_answer_is_of_the_clips_not_of_the_screen(shown: str, order: tuple[int, int], kept: str) -> None:
    assert Clips().read_answer({"answer": shown}, {}, order)["response"] == kept


def test_an_answer_must_be_one_of_four() -> None:
    with pytest.raises(DataError, match=r"\[answer\].*left, right, tie, cannot tell; nothing was chosen"):
        Clips().read_answer({}, {}, (0, 1))
    with pytest.raises(DataError, match="got 'Left'"):
        Clips().read_answer({"answer": "Left"}, {}, (0, 1))


def test_a_tie_is_half_way_and_who_cannot_tell_prefers_nothing() -> None:
    asked = {shown: Clips().questions({"response": shown}) for shown in Clips.responses}
    assert [asked[shown]["preference"].value for shown in ("left", "tie", "right")] == [1.0, 0.0, -1.0]
    assert set(asked["cannot tell"]) == {"answer"}


@pytest.mark.parametrize(("best", "shown", "right"), [(0, "left", True), (1, "left", False), (1, "tie", False)])
def test_gold_by_the_better_film(best: int, shown: str, right: bool) -> None:
    content = Clips().read_item({"films": [A, B], "best": best})
    assert Clips().right(Clips().read_answer({"answer": shown}, content, (0, 1)), content) is right
    assert Clips().right({"response": shown}, Clips().read_item({"films": [A, B]})) is None


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ({}, "films.*the names of two films"),
        ({"films": [A]}, "two names"),
        ({"films": [A, "../secret.gif"]}, "two names"),
        ({"films": [A, A]}, "both films are the same"),
        ({"films": [A, B], "step": "early"}, "a whole number"),
        ({"films": [A, B], "clips": [1, "2"]}, "two whole numbers"),
        ({"films": [A, B], "best": 2}, "0 or 1"),
        ({"films": [A, B], "reward": 3.0}, "unknown field"),
    ],
)
def test_an_item_that_is_none_is_refused(item: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        Clips().read_item(item)


def test_a_gold_item_must_say_which_is_better() -> None:
    from preflab.feedback.study import parse_study

    with pytest.raises(DataError, match=r"\[best\].*must say what is right"):
        parse_study(STUDY.replace("items", "gold"))


def test_the_screen_tells_films_alone_and_the_record_tells_both_orders(store: Store) -> None:
    make(store, STUDY.replace("}]", "}]\nslots: 40"))
    desk, orders = AnnotationService(store, "s"), set()
    for _ in range(20):
        who = somebody(store)
        screen = desk.next_task(who)
        assert screen is not None and screen.content.keys() == {"films"}  # no number that grows with the run
        better = "left" if screen.content["films"][0] == B else "right"
        desk.submit(screen.slot, screen.lease, who, f"key-{who}-000", {"answer": better, "seconds": "2.5"})
        orders.add(tuple(screen.content["films"]))
    assert len(orders) == 2
    from preflab.feedback.judged_comparisons import counted_judgements

    says = [found.payload or {} for found in counted_judgements(store, "s")]
    assert {one["answer"]["response"] for one in says} == {"right"}  # B is the item's second, wherever it stood
    assert {tuple(one["shown"]) for one in says} == {(0, 1), (1, 0)}
    assert comparisons_of(store, "s").comparisons == []  # clips are no texts


def test_what_comes_next_is_told_and_not_taken(store: Store) -> None:
    more = f"{{films: [{A}, {'c' * 64}.gif]}}"
    make(store, STUDY.replace("}]", f"}}, {more}]"))
    desk, who = AnnotationService(store, "s"), somebody(store)
    first = desk.next_task(who)
    assert first is not None and set(first.content["films"]) == {A, B}
    coming = desk.peek(who)
    assert coming.keys() == {"films"} and set(coming["films"]) == {A, f"{'c' * 64}.gif"}
    other = somebody(store)
    second = desk.next_task(other)
    assert second is not None and sorted(second.content["films"]) == sorted(coming["films"])
    assert desk.peek(who) == {}
    desk.submit(first.slot, first.lease, who, "key-000-000-1", {"answer": "tie"})
    assert desk.next_task(who) is None
