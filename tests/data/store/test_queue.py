"""Slots: handed out in order, leased, never held or filled twice."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from preflab.data.store import Store, judgements, log, people, queue, studies
from preflab.data.store.queue import Progress, Task
from preflab.data.store.schema import slot
from preflab.data.store.studies import NewItem
from preflab.errors import LeaseLost, NotThere, StoreError
from tests.data.store.conftest import Clock
from tests.data.store.made import LEASE, crowd, faults, hand_in, judge_all, rows, study_of


def claimed(store: Store, study: str, person: str, **more: int) -> Task:
    task = queue.claim(store, study, person, **more)
    assert task is not None
    return task


def names_judged(store: Store, study: str, person: str, n: int, **more: int) -> list[str]:
    """The items somebody is handed, one after another."""
    found = []
    for _ in range(n):
        task = queue.claim(store, study, person, **more)
        if task is None:
            break
        hand_in(store, task)
        found.append(task.item.name)
    return found


def test_items_come_in_the_order_they_were_added(store: Store) -> None:
    study = study_of(store, "x", "y", "z")
    (anna,) = crowd(store, 1)
    assert names_judged(store, study, anna, 9) == ["x", "y", "z"]
    assert faults(store) == ()


def test_a_task_stays_in_hand_until_it_is_done(store: Store) -> None:
    study = study_of(store, "x", "y")
    (anna,) = crowd(store, 1)
    first = claimed(store, study, anna)
    assert claimed(store, study, anna) == first
    hand_in(store, first)
    assert claimed(store, study, anna).item.name == "y"


def test_nobody_is_handed_what_another_holds(store: Store) -> None:
    study = study_of(store, "x")
    anna, ben = crowd(store, 2)
    claimed(store, study, anna)
    assert queue.claim(store, study, ben) is None


def test_nobody_judges_an_item_twice_however_many_slots_are_left(store: Store) -> None:
    study = study_of(store, "x", slots=5)
    (anna,) = crowd(store, 1)
    assert names_judged(store, study, anna, 9) == ["x"]


def test_an_item_with_k_slots_is_judged_by_k_people(store: Store) -> None:
    study = study_of(store, "x", "y", slots=3)
    persons = crowd(store, 5)
    assert len(judge_all(store, study, persons)) == 6
    assert queue.progress(store, study) == Progress(slots=6, filled=6, held=0, free=0)
    assert faults(store) == ()


@pytest.mark.parametrize(("late_ms", "free"), [(0, False), (1, True)])
def test_a_lease_runs_up_to_and_with_its_last_millisecond(store: Store, clock: Clock, late_ms: int, free: bool) -> None:
    study = study_of(store, "x")
    anna, ben = crowd(store, 2)
    task = claimed(store, study, anna)
    assert task.expires == clock.now + LEASE
    clock.turn(ms=LEASE + late_ms)
    assert (queue.claim(store, study, ben) is not None) == free


def test_ones_own_expired_task_is_ones_own_again(store: Store, clock: Clock) -> None:
    study = study_of(store, "x", "y")
    (anna,) = crowd(store, 1)
    first = claimed(store, study, anna)
    clock.turn(minutes=31)
    again = claimed(store, study, anna)
    assert (again.slot, again.expires) == (first.slot, clock.now + LEASE)
    assert again.lease != first.lease


def test_free_slots_come_before_expired_ones(store: Store, clock: Clock) -> None:
    study = study_of(store, "x", "y")
    anna, ben, cleo = crowd(store, 3)
    claimed(store, study, anna)
    clock.turn(minutes=31)
    assert claimed(store, study, ben).item.name == "y"
    assert claimed(store, study, cleo).item.name == "x"


def test_who_judged_late_is_handed_the_item_again_and_the_new_answer_counts_once(store: Store, clock: Clock) -> None:
    study = study_of(store, "x", slots=2)
    (anna,) = crowd(store, 1)
    task = claimed(store, study, anna)
    clock.turn(minutes=31)
    assert hand_in(store, task).status == "late"
    assert queue.progress(store, study) == Progress(slots=2, filled=0, held=0, free=2)
    again = claimed(store, study, anna)
    assert (again.item.name, again.lease == task.lease) == ("x", False)
    assert hand_in(store, again, key="key-again").status == "counted"
    assert queue.progress(store, study) == Progress(slots=2, filled=1, held=0, free=1)
    assert queue.claim(store, study, anna) is None  # judged in time: the other slot is for somebody else


def test_a_skipped_task_goes_to_the_end_of_the_queue_with_all_that_is_free_of_its_item(store: Store) -> None:
    study = study_of(store, "x", "y", slots=2)
    anna, ben = crowd(store, 2)
    assert queue.release(store, claimed(store, study, anna))
    assert names_judged(store, study, anna, 9) == ["y", "x"]
    assert names_judged(store, study, ben, 9) == ["y", "x"]
    assert faults(store) == ()


def test_what_is_no_longer_ones_own_cannot_be_released_or_renewed(store: Store, clock: Clock) -> None:
    study = study_of(store, "x")
    anna, ben = crowd(store, 2)
    task = claimed(store, study, anna)
    clock.turn(minutes=31)
    bens = claimed(store, study, ben)
    assert not queue.release(store, task)
    with pytest.raises(LeaseLost, match="handed to somebody else"):
        queue.renew(store, task, lease_ms=LEASE)
    with pytest.raises(LeaseLost, match="handed to somebody else"):
        queue.task_of(store, task.slot, anna)
    assert queue.task_of(store, task.slot, ben) == bens


def test_a_renewed_task_is_held_for_longer(store: Store, clock: Clock) -> None:
    study = study_of(store, "x")
    anna, ben = crowd(store, 2)
    task = claimed(store, study, anna)
    clock.turn(minutes=20)
    assert queue.renew(store, task, lease_ms=LEASE) == clock.now + LEASE
    clock.turn(minutes=20)
    assert queue.claim(store, study, ben) is None
    assert hand_in(store, task).status == "counted"
    with pytest.raises(LeaseLost, match="finished"):
        queue.renew(store, task, lease_ms=LEASE)


def test_a_paused_study_hands_out_nothing_and_takes_in_what_is_under_way(store: Store) -> None:
    study = study_of(store, "x", "y")
    anna, ben = crowd(store, 2)
    task = claimed(store, study, anna)
    studies.set_state(store, study, "paused")
    with pytest.raises(StoreError, match="the study is paused"):
        queue.claim(store, study, ben)
    assert claimed(store, study, anna) == task
    assert hand_in(store, task).status == "counted"
    with pytest.raises(StoreError, match="the study is paused"):
        queue.claim(store, study, anna)
    studies.set_state(store, study, "open")
    assert claimed(store, study, anna).item.name == "y"


def test_whoever_opts_out_gives_their_task_back(store: Store) -> None:
    study = study_of(store, "x")
    anna, ben = crowd(store, 2)
    people.consent(store, anna, study, 1, "I agree")
    task = claimed(store, study, anna)
    people.opt_out(store, anna, study)
    assert claimed(store, study, ben).slot == task.slot
    assert hand_in(store, task).status == "late"


@pytest.mark.parametrize("study", ["none", "helpfull"])
def test_an_unknown_study_is_named(store: Store, study: str) -> None:
    (anna,) = crowd(store, 1)
    with pytest.raises(NotThere, match=study):
        queue.claim(store, study, anna)


def test_nobody_who_is_unknown_or_erased_is_handed_anything(store: Store) -> None:
    study = study_of(store, "x")
    anna, ben = crowd(store, 2)
    people.erase_person(store, anna, actor=ben)
    for who in (anna, "p-nobody"):
        with pytest.raises(NotThere, match="nobody of the pseudonym"):
            queue.claim(store, study, who)
    assert queue.progress(store, study).free == 1


def test_a_lease_is_proof_for_one_person_and_one_slot(store: Store) -> None:
    study = study_of(store, "x", slots=2)
    anna, ben = crowd(store, 2)
    one, two = claimed(store, study, anna), claimed(store, study, ben)
    assert queue.is_lease(store, one.lease, one.slot, anna)
    for lease, number, who in [
        (one.lease, two.slot, anna),
        (one.lease, one.slot, ben),
        (one.lease[:-1] + "0123456789abcdef"[int(one.lease[-1], 16) - 1], one.slot, anna),
        ("", one.slot, anna),
        ("-", one.slot, anna),
        ("é-é", one.slot, anna),
    ]:
        assert not queue.is_lease(store, lease, number, who)


def test_progress_counts_the_slots_of_main_items_alone(store: Store, clock: Clock) -> None:
    again = NewItem(name="r", content={}, repeat=True)
    gold = NewItem(name="g", content={}, purpose="gold")
    study = study_of(store, "x", "y", again, gold, slots=2)
    anna, ben = crowd(store, 2)
    hand_in(store, claimed(store, study, anna))
    claimed(store, study, anna, gold_every=1)
    claimed(store, study, ben)
    assert queue.progress(store, study) == Progress(slots=5, filled=1, held=1, free=3)
    clock.turn(minutes=31)  # what is expired is free
    assert queue.progress(store, study) == Progress(slots=5, filled=1, held=0, free=4)


# gold and repeats ------------------------------------------------------------------------------------------


def test_every_third_task_is_a_gold_item_until_all_were_seen(store: Store) -> None:
    gold = [NewItem(name=f"gold {n}", content={}, purpose="gold") for n in "ab"]
    study = study_of(store, *"vwxyz", *gold, slots=2)
    expected = ["v", "w", "gold a", "x", "y", "gold b", "z"]
    for person in crowd(store, 2):
        assert names_judged(store, study, person, 9, gold_every=3) == expected
    assert faults(store) == ()


def test_gold_is_never_handed_out_as_a_main_item_and_practice_never(store: Store) -> None:
    items = [NewItem(name=purpose, content={}, purpose=purpose) for purpose in ("gold", "practice")]
    study = study_of(store, *items, "x")
    (anna,) = crowd(store, 1)
    assert names_judged(store, study, anna, 9) == ["x"]


def test_a_gold_slot_that_expired_is_used_by_somebody_else(store: Store, clock: Clock) -> None:
    study = study_of(store, NewItem(name="g", content={}, purpose="gold"))
    anna, ben = crowd(store, 2)
    task = claimed(store, study, anna, gold_every=1)
    clock.turn(minutes=31)
    assert claimed(store, study, ben, gold_every=1).item.name == "g"
    assert hand_in(store, task).status in ("late", "counted")
    assert faults(store) == ()


def test_repeats_come_last_and_to_those_alone_who_judged_the_first_time(store: Store) -> None:
    study = study_of(store, NewItem(name="r", content={"of": 1}, slots=2, repeat=True), "x")
    anna, ben, cleo = crowd(store, 3)
    assert names_judged(store, study, anna, 9) == ["r", "x", "r (again)"]
    assert names_judged(store, study, ben, 9) == ["r", "r (again)"]
    assert names_judged(store, study, cleo, 9) == []
    assert faults(store) == ()


def test_a_repeat_that_is_free_is_nobodys_who_has_not_judged_the_first(store: Store, clock: Clock) -> None:
    study = study_of(store, NewItem(name="r", content={}, repeat=True))
    anna, ben = crowd(store, 2)
    assert names_judged(store, study, anna, 1) == ["r"]
    assert queue.claim(store, study, ben) is None
    assert queue.claim(store, study, ben, repeat_every=1) is None
    clock.turn(minutes=31)
    assert names_judged(store, study, anna, 9) == ["r (again)"]


def test_every_second_task_is_a_repeat_where_there_is_one(store: Store) -> None:
    items = [NewItem(name=name, content={}, repeat=True) for name in "rs"]
    study = study_of(store, *items, "x", "y")
    (anna,) = crowd(store, 1)
    # the 2nd has something to repeat already: r; the 4th: s, judged as the 3rd
    assert names_judged(store, study, anna, 9, repeat_every=2) == ["r", "r (again)", "s", "s (again)", "x", "y"]


def test_a_repeat_is_the_same_content_under_another_name(store: Store) -> None:
    study = study_of(store, NewItem(name="r", content={"of": "r"}, repeat=True))
    first, twin = studies.items_of(store, study)
    assert (twin.name, twin.content, twin.repeats) == ("r (again)", {"of": "r"}, first.id)


# what the database forbids, whatever the code does ---------------------------------------------------------


@pytest.mark.parametrize("fault", ["held twice", "two at once", "half held", "filled by nobody", "filled twice"])
def test_the_database_forbids(store: Store, fault: str) -> None:
    study = study_of(store, "x", "y", slots=2)
    anna, ben = crowd(store, 2)
    seq = hand_in(store, claimed(store, study, ben)).seq
    claimed(store, study, anna)  # her slot is the 2nd of x
    first, _, third, fourth = (row["id"] for row in rows(store, slot, slot.c.id))
    number, values = {
        "held twice": (first, {"holder": anna}),  # two slots of x
        "two at once": (third, {"holder": anna, "lease": "l"}),  # two open tasks
        "half held": (third, {"holder": ben}),
        "filled by nobody": (third, {"filled": 1}),
        "filled twice": (fourth, {"holder": ben, "lease": "m", "filled": seq}),
    }[fault]
    with pytest.raises(sa.exc.IntegrityError), store.writing() as connection:
        connection.execute(sa.update(slot).where(slot.c.id == number).values(**values))


# at once ---------------------------------------------------------------------------------------------------


def test_two_windows_of_one_person_get_one_task(store: Store, again: Callable[[], Store]) -> None:
    study = study_of(store, *(f"item {n}" for n in range(30)))
    persons = crowd(store, 30)
    stores = [again(), again()]
    with ThreadPoolExecutor(2) as pool:
        for person in persons:
            one, two = pool.map(lambda one, who=person: claimed(one, study, who), stores)
            assert one == two
    assert queue.progress(store, study).held == 30


def test_who_claims_while_their_last_is_being_handed_in_waits_for_it(store: Store, again: Callable[[], Store]) -> None:
    """A reload while the vote is under way; or a process was killed, and PostgreSQL still takes in its last words."""
    study = study_of(store, "x", "y")
    (anna,) = crowd(store, 1)
    task, other, third = claimed(store, study, anna), again(), again()
    with ThreadPoolExecutor(2) as pool:
        with third.writing() as connection:
            log.append(connection, third, "note", {}, actor=log.SERVER)  # all others who append wait for this
            handing = pool.submit(hand_in, store, task)
            time.sleep(0.2)
            claiming = pool.submit(claimed, other, study, anna)
            time.sleep(0.2)
        assert handing.result().status == "counted"
        # on SQLite whoever asks first after that is first
        assert claiming.result().item.name in (("y",) if store.is_postgres else ("x", "y"))
    assert faults(store) == ()


def test_threads_share_a_store_and_no_slot(store: Store) -> None:
    study = study_of(store, *(f"item {n}" for n in range(40)))
    persons = crowd(store, 8)

    def work(person: str) -> int:
        return len(names_judged(store, study, person, 99))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, persons)) == 40
    assert judgements.counts(store, study) == {"counted": 40}
    assert faults(store) == ()
