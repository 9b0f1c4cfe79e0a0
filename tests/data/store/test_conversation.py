"""Conversations: no turn is lost, workers take over from one another, and the policy sees the right words."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from preflab.data.dialogue import Dialogue
from preflab.data.store import Store, conversation, queue
from preflab.data.store.conversation import Job, Turn
from preflab.data.store.queue import Task
from preflab.data.store.schema import reply, turn
from preflab.data.store.studies import NewItem
from preflab.errors import Conflict, LeaseLost, NotThere, PreflabError
from tests.data.store.conftest import Clock
from tests.data.store.made import crowd, hand_in, rows, study_of

SECONDS = 1000


def task_of(store: Store, content: dict[str, Any] | None = None) -> Task:
    study = study_of(store, NewItem(name="chat", content=content or {}))
    (anna,) = crowd(store, 1)
    found = queue.claim(store, study, anna)
    assert found is not None
    return found


def write(store: Store, task: Task, text: str, *, key: str | None = None, **more: Any) -> int:
    names: dict[str, Any] = {"slot_id": task.slot, "lease": task.lease, "person": task.person}
    return conversation.begin_turn(
        store, **names, text=text, key=key or f"message: {text}", **{"policies": ["p", "q"]} | more
    )


def taken(store: Store, worker: str = "worker", **more: Any) -> Job:
    job = conversation.take_job(store, worker, **more)
    assert job is not None
    return job


def answered(store: Store, task: Task, text: str, *replies: str, **more: Any) -> Turn:
    """A turn whose policies have all said what they say."""
    number = write(store, task, text, policies=["p"] * len(replies), **more)
    for said in replies:
        assert conversation.finish_reply(store, taken(store).reply, "worker", said, {"tokens": len(said)})
    return conversation.turn_of(store, task.slot, task.person, number)


def go_on(store: Store, found: Turn, place: int, edited: str | None = None) -> None:
    with store.writing() as connection:
        conversation.choose(connection, found.id, place, edited=edited)


def test_a_turn_is_there_before_any_policy_says_a_word(store: Store, clock: Clock) -> None:
    task = task_of(store)
    assert write(store, task, "Hello") == 0
    (found,) = conversation.turns(store, task.slot, task.person)
    assert (found.text, found.at, found.ready, found.outcome) == ("Hello", clock.now, False, None)
    assert [(r.number, r.policy, r.state) for r in found.replies] == [(0, "p", "waiting"), (1, "q", "waiting")]


def test_the_same_key_is_the_same_turn(store: Store) -> None:
    task = task_of(store)
    assert [write(store, task, "Hello", key="message-key") for _ in range(2)] == [0, 0]
    assert len(rows(store, turn)) == 1
    other = replace(task, person=crowd(store, 1)[0])
    with pytest.raises(Conflict, match="in another conversation"):
        write(store, other, "Hello", key="message-key")


def test_a_message_sent_twice_at_once_is_one_turn(store: Store, again: Callable[[], Store]) -> None:
    task, other = task_of(store), again()
    for n in range(15):
        with ThreadPoolExecutor(2) as pool:
            numbers = list(pool.map(lambda s, n=n: write(s, task, f"message {n}"), (store, other)))
        assert numbers == [n, n]
        for _ in range(2):
            conversation.finish_reply(store, taken(store).reply, "worker", "Yes.", {})
        go_on(store, conversation.turn_of(store, task.slot, task.person, n), 0)


def test_one_turn_after_another(store: Store) -> None:
    task = task_of(store)
    found = answered(store, task, "Hello", "Hi.", "Good day.")
    with pytest.raises(Conflict, match="choose one of the replies first"):
        write(store, task, "More")
    go_on(store, found, 1)
    with pytest.raises(Conflict, match="chosen already"):
        go_on(store, found, 0)
    assert write(store, task, "More") == 1
    first, second = conversation.turns(store, task.slot, task.person)
    assert (first.outcome, second.outcome) == ("Good day.", None)
    with pytest.raises(NotThere, match="has no turn 2"):
        conversation.turn_of(store, task.slot, task.person, 2)


@pytest.mark.parametrize("place", [0, 1, 2, -1])
def test_only_a_finished_reply_is_gone_on_from(store: Store, place: int) -> None:
    task = task_of(store)
    write(store, task, "Hello")
    conversation.finish_reply(store, taken(store).reply, "worker", "Hi.", {})
    found = conversation.turn_of(store, task.slot, task.person, 0)
    if place == 0:
        go_on(store, found, place)
        return
    with pytest.raises(NotThere, match=f"no finished reply {place}"):
        go_on(store, found, place)


def test_nothing_is_written_into_a_conversation_that_is_anothers_or_over(store: Store, clock: Clock) -> None:
    task = task_of(store)
    with pytest.raises(LeaseLost):
        write(store, replace(task, lease="0123-4567"), "Hello")
    (ben,) = crowd(store, 1)
    clock.turn(minutes=31)
    bens = queue.claim(store, "helpful", ben)
    assert bens is not None
    with pytest.raises(LeaseLost, match="handed to somebody else"):
        write(store, task, "Hello")
    hand_in(store, bens)
    with pytest.raises(LeaseLost, match="finished"):
        write(store, bens, "Hello")


@pytest.mark.parametrize("text", ["NUL \x00", "half a surrogate \ud800"])
def test_what_no_database_keeps_becomes_the_sign_for_an_unknown_character(store: Store, text: str) -> None:
    kept = text[:-1] + "\ufffd"
    task = task_of(store)
    write(store, task, text, key="message-key")
    one, two = taken(store), taken(store)
    assert conversation.write_partial(store, one.reply, "worker", text)
    assert conversation.finish_reply(store, one.reply, "worker", text, {"model": text})
    assert conversation.fail_reply(store, two.reply, "worker", text, again_after_ms=None)
    found = conversation.turn_of(store, task.slot, task.person, 0)
    assert (found.text, found.replies[0].text, found.replies[1].error) == (kept, kept, kept)
    assert found.replies[0].details == {"model": text}
    go_on(store, found, 0, edited=text)
    assert conversation.turn_of(store, task.slot, task.person, 0).outcome == kept


# workers ---------------------------------------------------------------------------------------------------


def test_a_job_is_taken_once_oldest_first(store: Store) -> None:
    task = task_of(store)
    write(store, task, "Hello")
    one, two = taken(store, "a"), taken(store, "b")
    assert (one.policy, two.policy) == ("p", "q")
    assert (one.study, one.tries, one.seed) == ("helpful", 1, one.reply)
    assert conversation.take_job(store, "c") is None


def test_a_worker_serves_its_own_policies_alone(store: Store) -> None:
    task = task_of(store)
    write(store, task, "Hello")
    assert conversation.take_job(store, "w", policies=[]) is None
    assert conversation.take_job(store, "w", policies=[("other", "p"), ("helpful", "r")]) is None
    assert taken(store, policies=[("helpful", "q")]).policy == "q"


def test_another_takes_over_when_a_worker_dies(store: Store, clock: Clock) -> None:
    task = task_of(store)
    write(store, task, "Hello", policies=["p"])
    first = taken(store, "a", lease_ms=30 * SECONDS)
    assert conversation.write_partial(store, first.reply, "a", "Half a", lease_ms=30 * SECONDS)
    clock.turn(ms=30 * SECONDS)
    assert conversation.take_job(store, "b") is None  # its last millisecond
    clock.turn(ms=1)
    second = taken(store, "b")
    assert (second.reply, second.tries, second.seed) == (first.reply, 2, first.seed)
    assert second.dialogue == first.dialogue
    assert not conversation.write_partial(store, first.reply, "a", "Half a sentence")
    assert not conversation.hold_reply(store, first.reply, "a")
    assert not conversation.finish_reply(store, first.reply, "a", "A whole one.", {})
    assert not conversation.fail_reply(store, first.reply, "a", "broken", again_after_ms=None)
    assert conversation.finish_reply(store, first.reply, "b", "Another.", {})
    (found,) = conversation.turns(store, task.slot, task.person)
    assert [r.text for r in found.replies] == ["Another."]


def test_a_worker_that_writes_on_keeps_its_reply(store: Store, clock: Clock) -> None:
    task = task_of(store)
    write(store, task, "Hello", policies=["p"])
    job = taken(store, "a", lease_ms=30 * SECONDS)
    for n, hold in enumerate([conversation.write_partial, conversation.hold_reply] * 3):
        clock.turn(ms=25 * SECONDS)
        text = ("word " * n,) if hold is conversation.write_partial else ()
        assert hold(store, job.reply, "a", *text, lease_ms=30 * SECONDS)
        assert conversation.take_job(store, "b") is None
    (found,) = conversation.turns(store, task.slot, task.person)
    assert found.replies[0].text == "word " * 4  # the last one written, at n = 4


def test_a_reply_that_failed_is_tried_again_later_or_when_asked(store: Store, clock: Clock) -> None:
    task = task_of(store)
    write(store, task, "Hello")
    one, two = taken(store), taken(store)
    assert conversation.fail_reply(store, one.reply, "worker", "busy", again_after_ms=5 * SECONDS)
    assert conversation.fail_reply(store, two.reply, "worker", "no such model", again_after_ms=None)
    assert conversation.take_job(store, "worker") is None
    clock.turn(ms=5 * SECONDS + 1)
    assert (taken(store).reply, conversation.take_job(store, "worker")) == (one.reply, None)
    (found,) = conversation.turns(store, task.slot, task.person)
    assert [(r.state, r.error) for r in found.replies] == [("writing", "busy"), ("failed", "no such model")]
    assert conversation.retry_failed_replies(store, task.slot, task.person) == 1
    assert conversation.retry_failed_replies(store, task.slot, task.person) == 0
    anew = taken(store)
    assert (anew.reply, anew.tries) == (two.reply, 1)
    conversation.finish_reply(store, anew.reply, "worker", "Here.", {})
    assert conversation.turn_of(store, task.slot, task.person, 0).replies[1].error is None


def test_eight_workers_at_once_take_each_job_once(store: Store, again: Callable[[], Store]) -> None:
    task = task_of(store)
    write(store, task, "Hello", policies=["p"] * 24)
    stores = [store, again(), again()]

    def work(n: int) -> list[int]:
        found = []
        misses = 0
        while misses < 3:  # on PostgreSQL what others have locked is passed over
            job = conversation.take_job(stores[n % 3], f"worker {n}")
            misses += job is None
            found += [job.reply] if job is not None else []
        return found

    with ThreadPoolExecutor(8) as pool:
        all_ = [number for found in pool.map(work, range(8)) for number in found]
    assert sorted(all_) == sorted(row["id"] for row in rows(store, reply))


# what the policy sees --------------------------------------------------------------------------------------


def said(dialogue: Dialogue) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in dialogue.messages]


def test_the_policy_sees_what_was_chosen_and_how_it_was_edited(store: Store) -> None:
    task = task_of(store)
    go_on(store, answered(store, task, "One?", "1", "I"), 1)
    go_on(store, answered(store, task, "Two?", "2", "II"), 0, edited="two")
    write(store, task, "Three?")
    seen = [("user", "One?"), ("assistant", "I"), ("user", "Two?"), ("assistant", "two"), ("user", "Three?")]
    assert said(taken(store).dialogue) == seen


def test_an_item_may_open_the_conversation(store: Store) -> None:
    opening = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    task = task_of(store, {"messages": opening})
    write(store, task, "One?")
    assert said(taken(store).dialogue) == [("user", "Hi"), ("assistant", "Hello."), ("user", "One?")]


def test_a_passage_leads_the_first_words_and_those_after_a_fresh_start(store: Store) -> None:
    """papers/12: the model is asked anew and knows nothing of what was said before, but has the passage."""
    task = task_of(store, {"lead": "A passage."})
    go_on(store, answered(store, task, "One?", "1"), 0)
    write(store, task, "Two?")
    job = taken(store)
    assert said(job.dialogue) == [("user", "A passage.\n\nOne?"), ("assistant", "1"), ("user", "Two?")]
    while conversation.finish_reply(store, job.reply, "worker", "2", {}):
        job = conversation.take_job(store, "worker") or job
    go_on(store, conversation.turn_of(store, task.slot, task.person, 1), 0)
    go_on(store, answered(store, task, "Three?", "3", fresh=True), 0)
    write(store, task, "Four?")
    seen = [("user", "A passage.\n\nThree?"), ("assistant", "3"), ("user", "Four?")]
    assert said(taken(store).dialogue) == seen


def test_whoever_takes_a_conversation_over_begins_it_anew(store: Store, clock: Clock) -> None:
    task = task_of(store)
    go_on(store, answered(store, task, "Anna's words", "1"), 0)
    (ben,) = crowd(store, 1)
    clock.turn(minutes=31)
    bens = queue.claim(store, "helpful", ben)
    assert bens is not None
    assert (bens.slot, write(store, bens, "Ben's words")) == (task.slot, 0)
    assert said(taken(store).dialogue) == [("user", "Ben's words")]
    assert [t.text for t in conversation.turns(store, task.slot, task.person)] == ["Anna's words"]
    with pytest.raises(PreflabError):
        write(store, task, "Anna again")
