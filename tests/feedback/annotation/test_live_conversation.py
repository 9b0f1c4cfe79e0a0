"""Conversations: who answers, when they may end, what is recorded of them."""

import pytest

from preflab.data.store import Store, conversation
from preflab.errors import DataError, StoreError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.annotation.live_conversation import turn_record
from preflab.feedback.annotation.task_view import TaskView
from tests.feedback.conftest import make, somebody

POLICIES = "policies: [{name: x, model: tiny}, {name: y, model: tiny}]\n"
CHAT = f"name: s\nprotocol: chat\nsettings: {{fewest_turns: 2, most_turns: 3}}\nitems: [{{topic: t}}]\n{POLICIES}"
PROBE = f"name: s\nprotocol: rule-probe\nitems: [{{rule: not_human}}]\n{POLICIES}"


def begin(store: Store, text: str) -> tuple[AnnotationService, TaskView, str]:
    make(store, text)
    service, person = AnnotationService(store, "s"), somebody(store)
    task = service.next_task(person)
    assert task is not None
    return service, task, person


def answer_all(store: Store) -> None:
    while (job := conversation.take_job(store, "w")) is not None:
        conversation.finish_reply(store, job.reply, "w", f"by {job.policy}", {"n": 1})


def test_a_turn_is_answered_by_both_policies_and_recorded(store: Store) -> None:
    service, task, person = begin(store, CHAT)
    assert service.conversation.send(task.slot, task.lease, person, "key-send-1", "hello") == 0
    answer_all(store)
    service.conversation.vote(task.slot, task.lease, person, "key-vote-1", 0, {"scale": "1"})
    (turn,) = service.conversation.turns(task.slot, person)
    record = turn_record(turn)
    assert {reply["policy"] for reply in record["replies"]} == {"x", "y"}
    assert record["text"] == "hello" and record["chosen"] == turn.chosen and record["edited"] is None
    assert record["replies"][0]["details"] == {"n": 1}


def test_a_conversation_ends_when_it_is_long_enough_and_nothing_is_left_to_choose(store: Store) -> None:
    service, task, person = begin(store, CHAT)
    place = (task.slot, task.lease, person)
    service.conversation.send(*place, "key-send-1", "hello")
    with pytest.raises(DataError, match="at least 2 turn"):
        service.submit(*place, "key-end-01", {"finish": "1"})
    answer_all(store)
    service.conversation.vote(*place, "key-vote-1", 0, {"scale": "1"})
    service.conversation.send(*place, "key-send-2", "and?")
    with pytest.raises(DataError, match="choose one of the last replies first"):
        service.submit(*place, "key-end-01", {"finish": "1"})
    answer_all(store)
    service.conversation.vote(*place, "key-vote-2", 1, {"scale": "-1"})
    assert service.submit(*place, "key-end-01", {"finish": "1"}).receipt.status == "counted"


def test_with_one_reply_a_turn_the_same_policy_answers_all_the_way(store: Store) -> None:
    service, task, person = begin(store, PROBE)
    place = (task.slot, task.lease, person)
    for n in range(3):
        service.conversation.send(*place, f"key-send-{n}", f"message {n}")
        answer_all(store)
    turns = service.conversation.turns(task.slot, person)
    assert len({turn.replies[0].policy for turn in turns}) == 1 and [turn.chosen for turn in turns] == [0, 0, None]
    with pytest.raises(DataError, match=r"the conversation has 3 turn\(s\)"):
        service.submit(*place, "key-end-01", {"finish": "1", "rating": "1", "turn": "3"})


def test_without_a_policy_nobody_answers(store: Store) -> None:
    service, task, person = begin(store, "name: s\nprotocol: questions\nsettings: {assisted: false}\n"
                                  "items: [{question: q, options: [a, b]}]\n")  # fmt: skip
    with pytest.raises(DataError, match="without help"):
        service.conversation.send(task.slot, task.lease, person, "key-send-1", "help")
    with pytest.raises(StoreError, match="no policy answers"):
        service.conversation._policies_of_turn(task.slot, person, 0)
