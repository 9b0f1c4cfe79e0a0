"""The desk: what a person at the page does, and that no page gets what it may not show."""

import json

import pytest

from preflab.data.store import Store, conversation
from preflab.data.store.judgements import counts, verify
from preflab.data.store.studies import revise_study, set_state
from preflab.errors import Conflict, DataError, LeaseLost, StoreError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.study import parse_study
from tests.feedback.conftest import Clock, make, somebody

RANK = """
name: s
protocol: rank
slots: 2
lease_minutes: 10
items:
  - {name: one, prompt: q, replies: [first, second], policies: [secret-a, secret-b]}
"""
CHAT = """
name: s
protocol: chat
settings: {fewest_turns: 1, most_turns: 2}
policies: [{name: secret-a, model: tiny}, {name: secret-b, model: tiny}]
items: [{topic: plants}]
"""


def answer_all(store: Store, *texts: str) -> None:
    """Play the policies: finish every reply that waits."""
    given = iter(texts)
    while (job := conversation.take_job(store, "w")) is not None:
        conversation.finish_reply(store, job.reply, "w", next(given, f"reply of {job.policy}"), {"weights": "v1"})


def test_a_judgement_says_all_that_was_shown(store: Store) -> None:
    make(store, RANK)
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None
    desk.submit(screen.slot, screen.lease, who, "key-000001", {"scale": "-3", "seconds": "4.25"})
    (past,) = desk.history(who)
    says = past.judgement.payload
    assert says is not None
    left = says["content"]["replies"][says["shown"][0]]
    assert left == screen.content["replies"][0]  # what the record says stood left did stand left
    assert says["content"]["replies"][says["answer"]["ranks"].index(0)] == left  # and it was the one preferred
    assert (says["seconds"], says["revision"], says["protocol_version"]) == (4.25, 1, 1)
    assert says["content"]["policies"] == ["secret-a", "secret-b"]


def test_nothing_hidden_reaches_the_screen(store: Store) -> None:
    gold = "gold: [{prompt: g, replies: [a, b], best: 1}]\n"
    practice = "practice: [{prompt: p, replies: [a, b], best: 1, feedback: because}]\n"
    text = RANK + gold + practice
    make(store, text)
    desk, who = AnnotationService(store, "s"), somebody(store)
    item = desk.practice.next_item(who)
    assert item is not None
    for screen in (desk.practice.view(item, who), desk.next_task(who)):
        assert screen is not None
        shown = json.dumps(screen.content)
        assert "secret" not in shown and "best" not in shown and "because" not in shown


def test_people_see_the_sides_in_orders_of_their_own(store: Store) -> None:
    make(store, RANK.replace("slots: 2", "slots: 40"))
    desk = AnnotationService(store, "s")
    screens = [desk.next_task(somebody(store)) for _ in range(40)]
    first = [screen.content["replies"][0] for screen in screens if screen is not None]
    assert 8 <= first.count("first") <= 32  # 20 expected, four standard deviations are 12.6
    with_me = desk.view(screens[0].slot, screens_holder(store, screens[0].slot))  # type: ignore[union-attr]
    assert with_me.content["replies"][0] == first[0]  # and the same one when they look again


def screens_holder(store: Store, slot: int) -> str:
    import sqlalchemy as sa

    from preflab.data.store.schema import slot as table

    with store.reading() as connection:
        return str(connection.scalar(sa.select(table.c.holder).where(table.c.id == slot)))


def test_late_is_kept_and_not_counted(store: Store, clock: Clock) -> None:
    make(store, RANK.replace("slots: 2", "slots: 1"))
    desk, slow, quick = AnnotationService(store, "s"), somebody(store), somebody(store)
    mine = desk.next_task(slow)
    assert mine is not None and desk.next_task(quick) is None
    clock.minutes(11)
    theirs = desk.next_task(quick)
    assert theirs is not None and theirs.slot == mine.slot
    assert desk.submit(mine.slot, mine.lease, slow, "key-slow-1", {"scale": "1"}).receipt.status == "late"
    assert desk.submit(theirs.slot, theirs.lease, quick, "key-quick-1", {"scale": "1"}).receipt.status == "counted"
    assert counts(store, "s") == {"late": 1, "counted": 1}
    with pytest.raises(LeaseLost, match="somebody else"):
        desk.view(mine.slot, slow)
    assert verify(store).ok


def test_undo_until_the_lease_ends(store: Store, clock: Clock) -> None:
    from preflab.data.store.judgements import withdraw

    make(store, RANK)
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None
    receipt = desk.submit(screen.slot, screen.lease, who, "key-000001", {"scale": "1"}).receipt
    withdraw(store, seq=receipt.seq, person=who)
    again = desk.next_task(who)
    assert again is not None and again.slot == screen.slot
    receipt = desk.submit(again.slot, again.lease, who, "key-000002", {"scale": "2"}).receipt
    clock.minutes(11)
    assert desk.history(who)[0].undo_ms == 0
    with pytest.raises(LeaseLost, match="over"):
        withdraw(store, seq=receipt.seq, person=who)
    assert counts(store, "s") == {"withdrawn": 1, "counted": 1}


def test_a_conversation_goes_on_from_the_choice(store: Store) -> None:
    make(store, CHAT)
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None and screen.waits_for_message
    place = (screen.slot, screen.lease, who)
    desk.conversation.send(*place, "key-say-01", "hello")
    waiting = desk.view(screen.slot, who)
    assert [side.state for side in waiting.turns[0].replies] == ["waiting", "waiting"]
    with pytest.raises(DataError, match="not all there"):
        desk.conversation.vote(*place, "key-vote-1", 0, {"scale": "1"})
    with pytest.raises(Conflict, match="choose one"):
        desk.conversation.send(*place, "key-say-02", "and?")
    answer_all(store)
    desk.conversation.vote(*place, "key-vote-1", 0, {"scale": "4"})
    chosen = desk.view(screen.slot, who).turns[0]
    assert chosen.outcome == chosen.replies[1].text and chosen.replies[1].chosen  # 4 is far to the right
    desk.conversation.send(*place, "key-say-02", "and?")
    job = conversation.take_job(store, "w")
    assert job is not None
    assert [message.text for message in job.dialogue.messages] == ["hello", chosen.outcome, "and?"]


def test_a_conversation_ends_whole_and_not_before(store: Store) -> None:
    make(store, CHAT)
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None
    place = (screen.slot, screen.lease, who)
    with pytest.raises(DataError, match="at least 1 turn"):
        desk.submit(*place, "key-end-01", {"finish": "1"})
    for n in range(2):
        desk.conversation.send(*place, f"key-say-{n}", f"message {n}")
        answer_all(store)
        desk.conversation.vote(*place, f"key-vote-{n}", n, {"scale": "1"})
    with pytest.raises(DataError, match="had its 2 turns"):
        desk.conversation.send(*place, "key-say-9", "one more")
    desk.submit(*place, "key-end-01", {"finish": "1", "comment": "fine"})
    (past,) = desk.history(who)
    assert past.judgement.payload is not None
    told = past.judgement.payload["conversation"]
    assert [turn["text"] for turn in told] == ["message 0", "message 1"]
    assert told[0]["replies"][0]["details"] == {"weights": "v1"}
    assert counts(store, "s") == {"counted": 3}  # two votes and the end
    assert desk.next_task(who) is None


def test_both_replies_show_as_unfinished_until_both_are_there(store: Store) -> None:
    make(store, CHAT)
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None
    desk.conversation.send(screen.slot, screen.lease, who, "key-say-01", "hello")
    job = conversation.take_job(store, "w")
    assert job is not None
    conversation.finish_reply(store, job.reply, "w", "quick", {})
    states = {side.state for side in desk.view(screen.slot, who).turns[0].replies}
    assert "done" not in states  # which policy was quicker would tell them apart


def test_a_dead_policy_costs_a_retry_and_not_the_turn(store: Store) -> None:
    make(store, CHAT)
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None
    desk.conversation.send(screen.slot, screen.lease, who, "key-say-01", "hello")
    while (job := conversation.take_job(store, "w")) is not None:
        conversation.fail_reply(store, job.reply, "w", "secret-a at http://inside is down", again_after_ms=None)
    failed = desk.view(screen.slot, who).turns[0]
    assert failed.failed and failed.text == "hello" and "inside" not in repr(failed)
    assert desk.conversation.retry(screen.slot, who) == 2
    answer_all(store)
    assert desk.view(screen.slot, who).turns[0].ready


def test_a_reset_hides_what_was_said_from_the_policy_alone(store: Store) -> None:
    make(
        store,
        "name: s\nprotocol: questions\npolicies: [{name: p, model: tiny}]\n"
        "items: [{question: q, options: [a, b], passage: The passage.}]\n",
    )
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None
    place = (screen.slot, screen.lease, who)
    seen = []
    for n, fresh in enumerate((False, False, True)):
        desk.conversation.send(*place, f"key-say-{n}", f"m{n}", fresh=fresh)
        job = conversation.take_job(store, "w")
        assert job is not None
        seen.append([message.text for message in job.dialogue.messages])
        conversation.finish_reply(store, job.reply, "w", f"r{n}", {})
    assert seen[0] == ["The passage.\n\nm0"]
    assert seen[1] == ["The passage.\n\nm0", "r0", "m1"]
    assert seen[2] == ["The passage.\n\nm2"]
    assert len(desk.view(screen.slot, who).turns) == 3


def test_practice_comes_round_until_enough_is_right(store: Store) -> None:
    items = "practice: [{prompt: a, replies: [x, y], best: 0}, {prompt: b, replies: [x, y], best: 0}]\n"
    make(store, RANK + "practice_right: 2\n" + items)
    desk, who = AnnotationService(store, "s"), somebody(store)
    for n, right in enumerate((True, False, True)):
        item = desk.practice.next_item(who)
        assert item is not None
        screen = desk.practice.view(item, who)
        left_is_right = screen.content["replies"][0] == "x"
        point = "-1" if left_is_right == right else "1"
        assert desk.practice.submit(item.id, who, f"key-practice-{n}", {"scale": point}).right is right
    assert desk.practice.next_item(who) is None


def test_the_cap_counts_tasks_of_the_last_day(store: Store, clock: Clock) -> None:
    items = "\n".join(f"  - {{prompt: q{n}, replies: [a, b]}}" for n in range(5))
    make(store, f"name: s\nprotocol: rank\nexposure_cap: 2\nitems:\n{items}\n")
    desk, who = AnnotationService(store, "s"), somebody(store)
    for n in range(2):
        screen = desk.next_task(who)
        assert screen is not None
        desk.submit(screen.slot, screen.lease, who, f"key-0000{n}", {"scale": "1"})
    with pytest.raises(StoreError, match="2 tasks in 24 hours"):
        desk.next_task(who)
    clock.minutes(24 * 60 + 1)
    assert desk.next_task(who) is not None


def test_gold_comes_every_so_often_and_repetitions_to_those_who_saw_the_first(store: Store) -> None:
    items = "\n".join(f"  - {{name: i{n}, prompt: q{n}, replies: [a, b]}}" for n in range(4))
    gold = "gold: [{name: g0, prompt: g, replies: [a, b], best: 0}]\n"
    make(store, f"name: s\nprotocol: rank\nrepeat_share: 1\ngold_every: 3\n{gold}items:\n{items}\n")
    desk, who, other = AnnotationService(store, "s"), somebody(store), somebody(store)
    seen: list[str] = []
    for n in range(20):
        screen = desk.next_task(who)
        if screen is None:
            break
        desk.submit(screen.slot, screen.lease, who, f"key-{n:05d}", {"scale": "1"})
        seen.append(desk.history(who)[0].judgement.item_name)
    assert seen[2] == "g0" and seen.count("g0") == 1
    assert sorted(seen) == sorted(["g0", *(f"i{n}" for n in range(4)), *(f"i{n} (again)" for n in range(4))])
    assert all(seen.index(f"i{n}") < seen.index(f"i{n} (again)") for n in range(4))
    assert desk.next_task(other) is None  # all slots are filled, and repetitions are for those who saw the first


def test_a_revision_is_picked_up_and_a_paused_study_hands_nothing_out(store: Store) -> None:
    make(store, RANK)
    desk, who = AnnotationService(store, "s"), somebody(store)
    changed = parse_study(RANK.replace("lease_minutes: 10", "lease_minutes: 20")).definition
    revise_study(store, "s", changed.to_json())
    screen = desk.next_task(who)
    assert screen is not None and screen.expires == store.clock() + 20 * 60_000
    desk.submit(screen.slot, screen.lease, who, "key-000001", {"scale": "1"})
    assert desk.history(who)[0].judgement.payload["revision"] == 2  # type: ignore[index]
    set_state(store, "s", "paused")
    with pytest.raises(StoreError, match="paused"):
        desk.next_task(somebody(store))
