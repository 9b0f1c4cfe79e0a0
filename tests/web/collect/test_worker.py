"""The worker against a real store in a file, a tiny model, and a real server that fails in every way."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preflab.data.dialogue import Dialogue
from preflab.data.store import conversation, people
from preflab.data.store.conversation import Turn
from preflab.data.store.open import Store, open_store
from preflab.data.store.studies import NewItem, add_items, create_study, revise_study
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.protocols import protocol_named
from preflab.feedback.study import StudyDefinition
from preflab.rollouts.servers.chat_backends import ChatReply, OnText
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.web.collect.worker import ReplyWorker, WorkerConfig
from tests.fake_openai import TEXT, FakeOpenAI

QUICK = WorkerConfig(
    threads=2, partial_write_seconds=0.03, poll_seconds=0.02, refresh_seconds=0.1, retry_seconds=0.02, lease_ms=5_000
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    own = open_store(tmp_path / "lab.db")
    yield own
    own.close()


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    own = FakeOpenAI()
    yield own
    own.stop()


def server(fake: FakeOpenAI, mood: str, name: str = "") -> PolicySpec:
    return PolicySpec(name=name or mood, url=fake.url, served_name=mood)


class Chat:
    """One conversation of one annotator in a study with these policies."""

    def __init__(self, store: Store, *policies: PolicySpec, name: str = "talk") -> None:
        self.store, self.name = store, name
        self.definition = StudyDefinition(name=name, protocol=protocol_named("chat"), policies=policies)
        create_study(store, name, self.definition.to_json())
        add_items(store, name, [NewItem(name="any", content={"topic": ""})])
        self.desk, self.who = AnnotationService(store, name), people.new_person(store)
        task = self.desk.next_task(self.who)
        assert task is not None
        self.slot, self.lease, self.said = task.slot, task.lease, 0

    def say(self, text: str = "Hello") -> None:
        self.desk.conversation.send(self.slot, self.lease, self.who, f"key-{self.name}-{self.said}", text)
        self.said += 1

    @property
    def turn(self) -> Turn:
        return conversation.turns(self.store, self.slot, self.who)[-1]

    def until(self, what: Callable[[Turn], Any], seconds: float = 90.0) -> Turn:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.turn
            if what(found):
                return found
            time.sleep(0.02)
        raise AssertionError(f"never came about: {self.turn}")

    def vote(self) -> None:
        form = {"scale": "-1"}
        self.desk.conversation.vote(
            self.slot, self.lease, self.who, f"vote-{self.name}-{self.said}", self.said - 1, form
        )


def failed(turn: Turn) -> bool:
    return all(reply.state == "failed" for reply in turn.replies)


def test_local_and_served_policies_answer_and_the_conversation_goes_on(store: Store, fake: FakeOpenAI) -> None:
    tiny = PolicySpec(name="tiny", model="tiny", max_new_tokens=8)
    chat = Chat(store, tiny, server(fake, "good"))
    with ReplyWorker(store, QUICK) as worker:
        chat.say("Hello")
        first = chat.until(lambda turn: turn.ready)
        by = {reply.policy: reply for reply in first.replies}
        assert by["good"].text == TEXT and by["good"].details["weights"] == "fp_1"
        assert len(by["tiny"].details["weights"]) == 64 and by["tiny"].details["seed"] == by["tiny"].id
        chat.vote()
        chat.say("And?")
        chat.until(lambda turn: turn.number == 1 and turn.ready)
        assert {key: health.answered for key, health in worker.health().items()} == {
            ("talk", "tiny"): 2,
            ("talk", "good"): 2,
        }
    picked = chat.desk.view(chat.slot, chat.who).turns[0].replies[0].text
    assert [message["content"] for message in fake.asked[-1]["messages"]] == ["Hello", picked, "And?"]


def test_a_reply_is_shown_while_it_grows(store: Store, fake: FakeOpenAI) -> None:
    chat = Chat(store, server(fake, "slow"))
    with ReplyWorker(store, QUICK):
        chat.say()
        seen = chat.until(lambda turn: 0 < len(turn.replies[0].text) < len(TEXT))
        assert seen.replies[0].state == "writing" and TEXT.startswith(seen.replies[0].text)
        assert chat.until(lambda turn: turn.ready).replies[0].text == TEXT


@pytest.mark.parametrize("mood", ["broken", "busy", "dies", "garbage"])
def test_a_server_that_fails_twice_is_asked_three_times_and_nothing_is_lost(
    store: Store, fake: FakeOpenAI, mood: str
) -> None:
    chat = Chat(store, server(fake, "good"))
    fake.moods = [mood, mood]
    with ReplyWorker(store, replace(QUICK, unhealthy_after=9)) as worker:
        chat.say()
        turn = chat.until(lambda turn: turn.ready)
        assert all(reply.text == TEXT and reply.error is None for reply in turn.replies)
        assert worker.health()["talk", "good"].failures == 0
    assert len(fake.asked) == 4  # two replies, two failures on the way


def test_a_dead_policy_leaves_the_turn_with_a_reason_and_answers_when_asked_again(
    store: Store, fake: FakeOpenAI
) -> None:
    chat = Chat(store, server(fake, "good"))
    fake.moods = ["broken"] * 6
    with ReplyWorker(store, replace(QUICK, unhealthy_after=9)):
        chat.say("Are you there?")
        turn = chat.until(failed)
        assert turn.text == "Are you there?" and "engine died" in str(turn.replies[0].error)
        assert chat.desk.conversation.retry(chat.slot, chat.who) == 2
        assert chat.until(lambda turn: turn.ready).replies[0].text == TEXT


def test_a_policy_that_fails_again_and_again_is_unwell_and_tried_again_later(store: Store, fake: FakeOpenAI) -> None:
    chat = Chat(store, server(fake, "good"))
    fake.moods = ["broken"] * 4
    config = replace(QUICK, threads=1, unhealthy_after=4, max_attempts=3, max_retry_seconds=1.0)
    with ReplyWorker(store, config) as worker:
        chat.say()
        chat.until(failed)
        health = worker.health()["talk", "good"]
        assert not health.is_healthy(config.unhealthy_after) and len(fake.asked) == 4
        chat.desk.conversation.retry(chat.slot, chat.who)
        turn = chat.until(failed)  # at once, and without a word to the server
        assert "unwell; it failed 4 times in a row" in str(turn.replies[0].error) and len(fake.asked) == 4
        time.sleep(max(0.0, health.retry_at - time.monotonic()))
        chat.desk.conversation.retry(chat.slot, chat.who)
        chat.until(lambda turn: turn.ready)
        assert worker.health()["talk", "good"].is_healthy(config.unhealthy_after)


def test_a_run_that_is_not_there_fails_with_its_path_and_other_studies_go_on(store: Store, fake: FakeOpenAI) -> None:
    gone = Chat(store, PolicySpec(name="gone", run="nowhere/at-all"), name="gone")
    good = Chat(store, server(fake, "good"), name="good")
    with ReplyWorker(store, QUICK):
        gone.say()
        good.say()
        good.until(lambda turn: turn.ready)
        assert "nowhere/at-all: no such run" in str(gone.until(failed).replies[0].error)


def test_a_message_too_long_for_the_model_is_no_illness_of_the_policy(store: Store) -> None:
    chat = Chat(store, PolicySpec(name="tiny", model="tiny", max_new_tokens=4))
    with ReplyWorker(store, QUICK) as worker:
        chat.say("word " * 3900)
        assert "outgrows" in str(chat.until(failed).replies[0].error)
        assert worker.health()["talk", "tiny"].failures == 0


def test_a_revised_study_is_noticed_and_a_conversation_under_way_keeps_its_policies(
    store: Store, fake: FakeOpenAI
) -> None:
    chat = Chat(store, server(fake, "good", name="round-0"))
    with ReplyWorker(store, QUICK):
        chat.say()
        chat.until(lambda turn: turn.ready)
        newer = replace(chat.definition, policies=(server(fake, "whole", name="round-1"),))
        chat.vote()
        begun = conversation.begin_turn(
            store,
            slot_id=chat.slot,
            lease=chat.lease,
            person=chat.who,
            text="More",
            key="key-by-hand",
            policies=["round-0", "round-1"],
        )
        revise_study(store, "talk", newer.to_json())
        turn = chat.until(lambda turn: turn.number == begun and turn.ready)
        assert [reply.details["weights"] for reply in turn.replies] == ["fp_1", "whole-1"]


class Stuck:
    """A policy that says one word and then nothing, until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def reply(self, dialogue: Dialogue, *, seed: int, on_text: OnText | None = None) -> ChatReply:
        assert on_text is not None
        self.begun.set()
        while not self.go.is_set():
            on_text("Er")
            time.sleep(0.01)
        return ChatReply("Er, yes", {"seed": seed})


def test_stopping_puts_a_reply_back_and_the_next_worker_gives_it(store: Store) -> None:
    chat, stuck = Chat(store, PolicySpec(name="tiny", model="tiny", max_new_tokens=4)), Stuck()
    worker = ReplyWorker(store, QUICK, open_policy=lambda spec: stuck)
    worker.start()
    chat.say()
    chat.until(lambda turn: any(reply.text == "Er" for reply in turn.replies))
    assert worker.stop(5.0)
    assert {reply.state for reply in chat.turn.replies} == {"waiting"}
    stuck.go.set()
    with ReplyWorker(store, QUICK, open_policy=lambda spec: stuck):
        assert {reply.text for reply in chat.until(lambda turn: turn.ready).replies} == {"Er, yes"}


def test_a_reply_whose_worker_died_is_taken_over_after_its_lease_and_the_dead_one_cannot_write(store: Store) -> None:
    chat = Chat(store, PolicySpec(name="tiny", model="tiny", max_new_tokens=4))
    chat.say()
    job = conversation.take_job(store, "dead", lease_ms=200)
    assert job is not None
    with ReplyWorker(store, QUICK):
        chat.until(lambda turn: turn.ready)
    assert not conversation.write_partial(store, job.reply, "dead", "half a")
    assert not conversation.finish_reply(store, job.reply, "dead", "late", {})
    assert all(reply.text != "late" for reply in chat.turn.replies)


def test_a_slow_reply_is_held_past_its_first_lease(store: Store) -> None:
    chat, stuck = Chat(store, PolicySpec(name="tiny", model="tiny", max_new_tokens=4)), Stuck()
    config = replace(QUICK, lease_ms=300)
    with ReplyWorker(store, config, open_policy=lambda spec: stuck):
        chat.say()
        chat.until(lambda turn: any(reply.text == "Er" for reply in turn.replies))
        time.sleep(0.9)  # three leases
        begun = next(reply.id for reply in chat.turn.replies if reply.text == "Er")
        others = [conversation.take_job(store, "other") for _ in range(2)]
        assert begun not in [job.reply for job in others if job is not None]
        stuck.go.set()
        chat.until(lambda turn: any(reply.text == "Er, yes" for reply in turn.replies))


def test_a_reply_that_takes_too_long_is_broken_off_and_fails(store: Store) -> None:
    chat, stuck = Chat(store, PolicySpec(name="tiny", model="tiny", max_new_tokens=4)), Stuck()
    config = replace(QUICK, reply_timeout_seconds=0.1, max_attempts=1, unhealthy_after=9)
    with ReplyWorker(store, config, open_policy=lambda spec: stuck):
        chat.say()
        assert "no whole reply within 0.1 s" in str(chat.until(failed).replies[0].error)


def test_a_fault_inside_a_policy_ends_no_thread(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    class Faulty:
        calls = 0

        def reply(self, dialogue: Dialogue, *, seed: int, on_text: OnText | None = None) -> ChatReply:
            Faulty.calls += 1
            if Faulty.calls == 1:
                raise ZeroDivisionError("a fault")
            return ChatReply("fine", {})

    chat = Chat(store, PolicySpec(name="tiny", model="tiny"))
    with ReplyWorker(store, QUICK, open_policy=lambda spec: Faulty()):
        chat.say()
        chat.until(lambda turn: turn.ready)
    assert "ZeroDivisionError" in caplog.text


def test_a_reply_that_kills_its_worker_each_time_is_given_up(store: Store) -> None:
    chat = Chat(store, PolicySpec(name="tiny", model="tiny", max_new_tokens=4))
    chat.say()
    for _ in range(5):
        for _ in range(2):
            assert conversation.take_job(store, "dies", lease_ms=-1) is not None
    with ReplyWorker(store, QUICK):
        turn = chat.until(failed)
    assert "given up after 5 attempts that ended without a word" in str(turn.replies[0].error)


def test_policies_in_memory_are_bounded_and_each_is_opened_once(store: Store) -> None:
    opened: list[str] = []

    class Quick:
        def reply(self, dialogue: Dialogue, *, seed: int, on_text: OnText | None = None) -> ChatReply:
            return ChatReply("yes", {})

    def opener(spec: PolicySpec) -> Quick:
        opened.append(spec.name)
        return Quick()

    specs = [PolicySpec(name=f"p{k}", model="tiny", temperature=0.1 * k + 0.1) for k in range(3)]
    worker = ReplyWorker(store, replace(QUICK, max_open_policies=2), open_policy=opener)
    for spec in [specs[0], specs[1], specs[0], specs[2], specs[0], specs[1]]:
        worker._backend(spec)
    assert opened == ["p0", "p1", "p2", "p1"]  # p1 was unused for longest when p2 came
