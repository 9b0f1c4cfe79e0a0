"""Handing in, correcting and taking back: nothing is lost, nothing counts twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from preflab.data.store import Store, judgements, people, queue
from preflab.data.store.judgements import Judgement, Receipt
from preflab.data.store.queue import Task
from preflab.data.store.schema import body, event, judgement, slot
from preflab.data.store.studies import NewItem
from preflab.errors import Conflict, LeaseLost, NotThere, PreflabError, StoreError
from tests.data.store.conftest import Clock
from tests.data.store.made import crowd, faults, hand_in, judge_all, rows, study_of
from tests.data.store.racing import tried


@pytest.fixture
def task(store: Store) -> Task:
    """Somebody with a task in hand."""
    study = study_of(store, "x", "y", slots=2)
    (anna,) = crowd(store, 1)
    found = queue.claim(store, study, anna)
    assert found is not None
    return found


def all_of(store: Store, task: Task, **more: Any) -> list[Judgement]:
    with store.reading() as connection:
        return list(judgements.judgements_of(connection, task.item.study, **more))


def correct(store: Store, seq: int, person: str, answer: str = "b", key: str = "correction") -> Receipt:
    return judgements.correct(store, seq=seq, person=person, key=key, payload={"answer": answer})


def test_a_judgement_comes_back_with_all_that_was_said(store: Store, clock: Clock, task: Task) -> None:
    says = {"answer": {"scale": 3}, "order": (1, 0), "seconds": 4.5, "policies": ["p", "q"], "comment": "é\x00\ud800"}
    names = {"study": "helpful", "slot_id": task.slot, "lease": task.lease, "person": task.person}
    receipt = judgements.submit(store, **names, key="a-key-of-a-page", payload=says)
    assert receipt == Receipt(seq=receipt.seq, status="counted", again=False)
    (found,) = all_of(store, task)
    place = {"item": 1, "item_name": "x", "slot": task.slot, "part": 0, "completes": 1}
    place |= {"supersedes": None, "status": "counted", "key": "a-key-of-a-page"}
    assert found.payload == says | {"order": [1, 0], "place": place}
    assert (found.person, found.at, found.status) == (task.person, clock.now, "counted")
    assert faults(store) == ()


def test_the_same_key_counts_once(store: Store, task: Task) -> None:
    first = hand_in(store, task)
    assert hand_in(store, task) == Receipt(first.seq, "counted", again=True)
    assert judgements.counts(store, "helpful") == {"counted": 1}


def test_a_retry_is_answered_even_after_the_lease(store: Store, clock: Clock, task: Task) -> None:
    first = hand_in(store, task)
    clock.turn(minutes=90)
    assert hand_in(store, task) == Receipt(first.seq, "counted", again=True)


@pytest.mark.parametrize("other", ["answer", "person"])
def test_a_key_stands_for_one_answer_of_one_person(store: Store, task: Task, other: str) -> None:
    hand_in(store, task, key="the-same-key")
    if other == "answer":
        with pytest.raises(Conflict, match="another answer"):
            hand_in(store, task, key="the-same-key", answer="b")
    else:
        (ben,) = crowd(store, 1)
        bens = queue.claim(store, "helpful", ben)
        assert bens is not None
        with pytest.raises(Conflict, match="another answer"):
            hand_in(store, bens, key="the-same-key")
    assert judgements.counts(store, "helpful") == {"counted": 1}
    assert faults(store) == ()


@pytest.mark.parametrize("key", ["", "1234567", "k" * 81])
def test_a_key_has_8_to_80_characters(store: Store, task: Task, key: str) -> None:
    with pytest.raises(StoreError, match=f"8 to 80 characters, got {len(key)}"):
        judgements.submit(
            store, study="helpful", slot_id=task.slot, lease=task.lease, person=task.person, key=key, payload={}
        )


@pytest.mark.parametrize("field", ["key", "lease", "person"])
def test_half_a_surrogate_is_an_error_that_says_so(store: Store, task: Task, field: str) -> None:
    names = {"study": "helpful", "slot_id": task.slot, "lease": task.lease, "person": task.person, "key": "12345678"}
    with pytest.raises(PreflabError):
        judgements.submit(store, **names | {field: "12345678\ud800"}, payload={})  # type: ignore[arg-type]
    assert rows(store, judgement) == []


def test_a_finished_task_takes_no_second_answer(store: Store, task: Task) -> None:
    hand_in(store, task)
    with pytest.raises(Conflict, match="this task is finished"):
        hand_in(store, task, key="another-key", answer="b")


def test_late_is_kept_flagged_and_not_counted_and_the_slot_is_free(store: Store, clock: Clock, task: Task) -> None:
    clock.turn(minutes=31)
    assert hand_in(store, task).status == "late"
    (found,) = all_of(store, task)
    assert found.payload is not None
    assert (found.status, found.payload["answer"]) == ("late", "a")
    assert queue.progress(store, "helpful").free == 4
    assert hand_in(store, task).again
    assert faults(store) == ()


def test_late_does_not_disturb_whoever_has_the_slot_now(store: Store, clock: Clock, task: Task) -> None:
    clock.turn(minutes=31)
    others = crowd(store, 4)
    tasks = [queue.claim(store, "helpful", other) for other in others]
    (now,) = [t for t in tasks if t is not None and t.slot == task.slot]
    assert hand_in(store, task).status == "late"
    assert hand_in(store, now).status == "counted"
    assert hand_in(store, task, key="and-once-more").status == "late"
    assert faults(store) == ()


@pytest.mark.parametrize("wrong", ["lease", "person", "slot", "study"])
def test_nothing_is_taken_from_whoever_was_not_handed_the_task(store: Store, task: Task, wrong: str) -> None:
    (ben,) = crowd(store, 1)
    names = {"study": "helpful", "slot_id": task.slot, "lease": task.lease, "person": task.person}
    other = {
        "lease": ("lease", "0123-4567"),
        "person": ("person", ben),
        "slot": ("slot_id", 99),
        "study": ("study", ""),
    }
    names[other[wrong][0]] = other[wrong][1]
    with pytest.raises(NotThere if wrong in ("slot", "study") else LeaseLost):
        judgements.submit(store, **names, key="a-key-of-a-page", payload={})  # type: ignore[arg-type]
    assert rows(store, judgement) == []


def test_whoever_is_erased_hands_nothing_in(store: Store, task: Task) -> None:
    people.erase_person(store, task.person, actor=task.person)
    with pytest.raises(NotThere, match="nobody of the pseudonym"):
        hand_in(store, task)
    with pytest.raises(NotThere, match="nobody of the pseudonym"):
        judgements.submit_practice(store, study="helpful", item_id=1, person=task.person, key="practice", payload={})
    assert rows(store, judgement) == []


def test_what_goes_with_a_judgement_is_kept_or_lost_with_it(store: Store, task: Task) -> None:
    def fails(_: object) -> None:
        raise Conflict("planted")

    with pytest.raises(Conflict, match="planted"):
        hand_in(store, task, within=fails)
    assert rows(store, judgement) == []
    assert hand_in(store, task).again is False


def test_parts_do_not_fill_the_slot_and_each_counts_once(store: Store, task: Task) -> None:
    for part in range(3):
        hand_in(store, task, part=part, completes=False, key=f"part-{part:08}")
    with pytest.raises(Conflict, match="this part of the task is judged already"):
        hand_in(store, task, part=1, completes=False, key="once-more", answer="b")
    assert queue.progress(store, "helpful").filled == 0
    hand_in(store, task, part=-1)
    assert queue.progress(store, "helpful").filled == 1
    assert judgements.counts(store, "helpful") == {"counted": 4}
    assert faults(store) == ()


def test_practice_is_kept_and_never_counts(store: Store, task: Task) -> None:
    names: dict[str, Any] = {"study": "helpful", "item_id": 1, "person": task.person}
    receipt = judgements.submit_practice(store, **names, key="practice-key", payload={"answer": "a"})
    assert (receipt.status, receipt.again) == ("practice", False)
    assert judgements.submit_practice(store, **names, key="practice-key", payload={"answer": "a"}).again
    assert [found.slot for found in all_of(store, task, statuses=["practice"])] == [None]
    assert faults(store) == ()
    with pytest.raises(NotThere, match="you made no judgement"):
        correct(store, receipt.seq, task.person)


# correcting ------------------------------------------------------------------------------------------------


def test_a_correction_supersedes_and_both_stay(store: Store, task: Task) -> None:
    first = hand_in(store, task)
    second = correct(store, first.seq, task.person)
    third = correct(store, second.seq, task.person, "c", key="correction-2")
    found = all_of(store, task)
    assert [(j.seq, j.status, j.supersedes) for j in found] == [
        (first.seq, "superseded", None),
        (second.seq, "superseded", first.seq),
        (third.seq, "counted", second.seq),
    ]
    assert [j.payload["answer"] for j in found if j.payload] == ["a", "b", "c"]
    assert faults(store) == ()


def test_a_correction_sent_twice_counts_once(store: Store, task: Task) -> None:
    first = hand_in(store, task)
    second = correct(store, first.seq, task.person)
    assert correct(store, first.seq, task.person) == Receipt(second.seq, "counted", again=True)
    with pytest.raises(Conflict, match="superseded already"):
        correct(store, first.seq, task.person, key="another-key")


def test_nobody_corrects_another_nor_when_the_lease_is_over(store: Store, clock: Clock, task: Task) -> None:
    first = hand_in(store, task)
    (ben,) = crowd(store, 1)
    for act in (
        lambda who: correct(store, first.seq, who),
        lambda who: judgements.withdraw(store, seq=first.seq, person=who),
    ):
        with pytest.raises(NotThere, match=f"you made no judgement {first.seq}"):
            act(ben)
    with pytest.raises(NotThere, match="you made no judgement 999"):
        correct(store, 999, task.person)
    clock.turn(minutes=31)
    for act in (
        lambda who: correct(store, first.seq, who),
        lambda who: judgements.withdraw(store, seq=first.seq, person=who),
    ):
        with pytest.raises(LeaseLost, match="the time to change this judgement is over"):
            act(task.person)
    assert judgements.counts(store, "helpful") == {"counted": 1}


def test_a_turn_cannot_be_changed_under_the_lease_of_another(store: Store, clock: Clock, task: Task) -> None:
    part = hand_in(store, task, part=0, completes=False)
    clock.turn(minutes=31)
    for person in crowd(store, 4):
        queue.claim(store, "helpful", person)  # one of them has Anna's slot
    with pytest.raises(LeaseLost):
        correct(store, part.seq, task.person)


# taking back -----------------------------------------------------------------------------------------------


def test_an_undone_task_is_in_hand_again_and_the_next_goes_back(store: Store, task: Task) -> None:
    first = hand_in(store, task)
    second = queue.claim(store, "helpful", task.person)
    assert second is not None
    judgements.withdraw(store, seq=first.seq, person=task.person)
    assert queue.claim(store, "helpful", task.person) == task
    assert queue.progress(store, "helpful").held == 1
    assert faults(store) == ()
    assert hand_in(store, task, key="second-thoughts", answer="b").status == "counted"
    assert [j.status for j in all_of(store, task)] == ["withdrawn", "counted"]
    with pytest.raises(Conflict, match="withdrawn already"):
        judgements.withdraw(store, seq=first.seq, person=task.person)
    assert faults(store) == ()


def test_an_owner_takes_a_judgement_out_and_the_slot_is_anothers(store: Store, task: Task) -> None:
    first = hand_in(store, task)
    judgements.discard(store, seq=first.seq, actor="p-owner", reason="typed at random")
    assert queue.progress(store, "helpful").free == 4
    assert [j.status for j in all_of(store, task)] == ["withdrawn"]
    again = queue.claim(store, "helpful", task.person)
    assert again is not None
    assert again.item.name == "y"  # Anna has judged x, well or badly
    with pytest.raises(Conflict, match="it is withdrawn"):
        judgements.discard(store, seq=first.seq, actor="p-owner", reason="twice")
    with pytest.raises(NotThere, match="no judgement 999"):
        judgements.discard(store, seq=999, actor="p-owner", reason="none")
    last = rows(store, event, event.c.seq)[-1]
    assert (last["kind"], last["actor"]) == ("judgement.withdrawn", "p-owner")
    assert faults(store) == ()


# reading ---------------------------------------------------------------------------------------------------


def test_judgements_are_read_by_person_status_and_horizon(store: Store) -> None:
    study = study_of(store, "x", "y", slots=2)
    anna, ben = crowd(store, 2)
    receipts = judge_all(store, study, [anna, ben])
    with store.reading() as connection:
        of = list(judgements.judgements_of(connection, study, person=ben))
        early = list(judgements.judgements_of(connection, study, up_to=receipts[1].seq))
        none = list(judgements.judgements_of(connection, study, statuses=["late"]))
    assert [j.person for j in of] == [ben, ben]
    assert [j.seq for j in early] == [receipts[0].seq, receipts[1].seq]
    assert none == []


def test_the_log_alone_tells_what_stood_at_an_earlier_moment(store: Store, task: Task) -> None:
    first = hand_in(store, task)
    second = correct(store, first.seq, task.person)
    judgements.withdraw(store, seq=second.seq, person=task.person)
    a, b = first.seq, second.seq
    with store.reading() as connection:
        assert judgements.statuses_from_log(connection, up_to=a) == {a: "counted"}
        assert judgements.statuses_from_log(connection, up_to=b) == {a: "superseded", b: "counted"}
        assert judgements.statuses_from_log(connection) == {a: "superseded", b: "withdrawn"}


# at once ---------------------------------------------------------------------------------------------------


def all_at_once(*acts: Callable[[], Any]) -> list[Any]:
    """What each act gave, or the error it raised."""
    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(tried, acts))


def test_a_double_click_gets_one_receipt_twice(store: Store, again: Callable[[], Store]) -> None:
    study = study_of(store, *(f"item {n}" for n in range(25)))
    (anna,) = crowd(store, 1)
    other = again()
    while (task := queue.claim(store, study, anna)) is not None:
        one, two = all_at_once(*(lambda s=s, t=task: hand_in(s, t) for s in (store, other)))
        assert isinstance(one, Receipt), one
        assert isinstance(two, Receipt), two
        assert (one.seq, {one.again, two.again}) == (two.seq, {True, False})
    assert judgements.counts(store, study) == {"counted": 25}
    assert faults(store) == ()


def test_a_practice_answer_and_a_correction_sent_twice_at_once_count_once(
    store: Store, again: Callable[[], Store]
) -> None:
    study = study_of(store, *(f"item {n}" for n in range(15)))
    (anna,) = crowd(store, 1)
    other = again()
    for n in range(15):
        task = queue.claim(store, study, anna)
        assert task is not None
        first = hand_in(store, task)
        acts: list[Callable[[Store], Receipt]] = [
            lambda s, f=first, n=n: correct(s, f.seq, anna, key=f"correct-{n:08}"),  # type: ignore[misc]
            lambda s, n=n: judgements.submit_practice(  # type: ignore[misc]
                s, study=study, item_id=1, person=anna, key=f"practice-{n:08}", payload={"answer": "a"}
            ),
        ]
        for act in acts:
            one, two = all_at_once(*(lambda s=s, act=act: act(s) for s in (store, other)))
            assert isinstance(one, Receipt), one
            assert isinstance(two, Receipt), two
            assert one.seq == two.seq
    assert faults(store) == ()


def test_correcting_and_undoing_at_once_leaves_no_judgement_that_fills_no_slot(
    store: Store, again: Callable[[], Store]
) -> None:
    study = study_of(store, *(f"item {n}" for n in range(25)))
    other = again()
    for person in crowd(store, 25):
        task = queue.claim(store, study, person)
        assert task is not None
        first = hand_in(store, task)
        all_at_once(
            lambda f=first, p=person: correct(store, f.seq, p, key=f"correct-{p}"),
            lambda f=first, p=person: judgements.withdraw(other, seq=f.seq, person=p),
            lambda f=first: judgements.discard(store, seq=f.seq, actor="p-owner", reason="at once"),
        )
        assert faults(store) == ()


def test_whoever_is_erased_in_the_middle_of_handing_in_leaves_nothing(store: Store, again: Callable[[], Store]) -> None:
    study = study_of(store, *(f"item {n}" for n in range(25)), NewItem(name="p", content={}, purpose="practice"))
    other = again()
    for person in crowd(store, 25):
        task = queue.claim(store, study, person)
        assert task is not None
        all_at_once(
            lambda t=task: hand_in(store, t),
            lambda p=person: people.erase_person(other, p, actor="p-owner"),
            lambda p=person: queue.claim(other, study, p),
        )
    assert {j["status"] for j in rows(store, judgement)} <= {"erased"}
    assert [row for row in rows(store, slot) if row["holder"] and row["filled"] is None] == []
    assert not [row for row in rows(store, body) if '"answer"' in row["body"]]
    assert faults(store) == ()
