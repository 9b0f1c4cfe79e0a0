"""Synthetic annotators at the desk that people use: they talk, choose what they like, end; a kill loses nothing."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import StoreError
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.recipes.bai2022_online import smoke, synthetic_annotators
from preflab.recipes.bai2022_online.config import Config
from preflab.recipes.bai2022_online.online_study import OnlineStudy
from preflab.recipes.bai2022_online.synthetic_annotators import FOLLOW_UP, HELLO, PEOPLE, SyntheticAnnotators
from preflab.rollouts.servers.chat_backends import ChatReply
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.run import Run

REPLIES = {"brief": "yes", "wordy": "well, that is a long story"}
"""Policy -> what it always says; a digest of the turn follows, of one length."""


@dataclass
class Backend:
    """A policy that says one thing, told apart by turn; it counts its replies."""

    text: str
    calls: int = 0

    def reply(self, dialogue: Dialogue, *, seed: int, on_text: Any = None) -> ChatReply:
        del seed, on_text
        self.calls += 1
        turn = hashlib.sha256(str(dialogue.to_json()).encode()).hexdigest()[:4]
        return ChatReply(f"{self.text} {turn}", {"seconds": 0.0})


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the policies whose backends were opened, in order."""
    names: list[str] = []

    def open_backend(spec: PolicySpec) -> Backend:
        names.append(spec.name)
        return Backend(REPLIES[spec.name])

    monkeypatch.setattr(synthetic_annotators, "open_chat_backend", open_backend)
    return names


@dataclass
class Desk:
    config: Config
    run: Run
    study: OnlineStudy

    def annotators(self) -> SyntheticAnnotators:
        return SyntheticAnnotators(self.study.store, self.config, self.run)

    def choices(self) -> list[Comparison]:
        return self.study.choices(0)


@pytest.fixture
def desk(tmp_path: Path, opened: list[str]) -> Iterator[Desk]:
    """A study of ten tasks on the topic "tea" with two policies; annotators like brevity and do not err."""
    config = replace(smoke(), store=str(tmp_path / "lab.db"), true_preference=SyntheticPreference(noise=0.0))
    with Run(tmp_path / "run", config, recipe="bai2022_online", quiet=True) as run:
        study = OnlineStudy(config, run)
        study.deploy(1, [PolicySpec(name=name, model=f"{name}-model") for name in REPLIES], ["tea"])
        yield Desk(config, run, study)
        study.close()


def test_a_conversation_opens_with_the_topic_and_every_turn_is_a_choice_of_what_is_liked(desk: Desk) -> None:
    desk.annotators().work()
    choices = desk.choices()
    assert len(choices) == desk.config.protocol.most_turns == 2
    assert [[m.text for m in c.prompt.messages if m.role == "user"] for c in choices] == [["tea"], ["tea", FOLLOW_UP]]
    for choice in choices:
        best = choice.provenance.policies[choice.ranks.index(min(choice.ranks))]
        if len(set(choice.provenance.policies)) == 2:
            assert best == "brief" and max(choice.ranks) == 1


def test_without_a_topic_they_say_hello(tmp_path: Path, opened: list[str]) -> None:
    config = replace(smoke(), store=str(tmp_path / "lab.db"), judgements=1)
    with Run(tmp_path / "run", config, recipe="bai2022_online", quiet=True) as run:
        study = OnlineStudy(config, run)
        study.deploy(1, [PolicySpec(name=name, model=f"{name}-model") for name in REPLIES], [])
        SyntheticAnnotators(study.store, config, run).work()
        assert {choice.prompt.messages[0].text for choice in study.choices(0)} == {HELLO}
        study.close()


def test_they_take_turns_and_a_backend_is_opened_once(desk: Desk, opened: list[str]) -> None:
    annotators = desk.annotators()
    for _ in range(PEOPLE + 1):
        annotators.work()
    people = [choice.provenance.annotator for choice in desk.choices()][::2]
    assert len(set(people[:PEOPLE])) == PEOPLE and people[PEOPLE] == people[0]
    assert sorted(opened) == sorted(REPLIES)


def test_a_run_that_is_taken_up_again_has_the_same_people(desk: Desk) -> None:
    desk.annotators().work()
    desk.annotators().work()  # a new process: its first is the same person
    assert len({choice.provenance.annotator for choice in desk.choices()}) == 1
    assert list(desk.run.partials("annotators")) == ["0"]


def test_a_conversation_that_a_kill_broke_off_is_gone_on_with(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(Exception):
        """Between a message and its replies."""

    def killed(self: SyntheticAnnotators) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(SyntheticAnnotators, "_answer", killed)
        desk.annotators().work()
    assert desk.choices() == []
    desk.annotators().work()
    assert [len(choice.prompt.messages) for choice in desk.choices()] == [1, 3]  # one conversation, from its beginning


def test_no_task_left_and_no_known_preference_are_errors(desk: Desk) -> None:
    annotators = desk.annotators()
    for _ in range(desk.config.judgements):
        annotators.work()
    with pytest.raises(StoreError, match="study 'online' has no task left for the scripted annotators"):
        annotators.work()
    people = replace(desk.config, annotators="people", true_preference=None)
    with pytest.raises(StoreError, match="need a preference that is known"):
        SyntheticAnnotators(desk.study.store, people, desk.run)
