"""Scripted annotators at the desk of a study: they talk, let the policies answer, choose by a known preference.

They do through the desk what a person does through the page, in this process. A run that was killed goes on with the
task they had in hand.
"""

import time
from typing import TYPE_CHECKING, Any

from preflab.data.store import conversation, people
from preflab.data.store.open import Store
from preflab.errors import StoreError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.rollouts.servers.chat_backends import ChatBackend, open_chat_backend, spec_digest
from preflab.run import Run

if TYPE_CHECKING:
    from preflab.recipes.bai2022_online.config import Config

PEOPLE = 5
FOLLOW_UP = "Thanks. Could you put that in another way?"
HELLO = "Hello, what can you help me with?"


class ScriptedAnnotators:
    """A few of them, who take turns."""

    def __init__(self, store: Store, config: "Config", run: Run) -> None:
        if config.known is None:
            raise StoreError("scripted annotators need a preference that is known")
        self.store, self.config, self.run = store, config, run
        self.known: SyntheticPreference = config.known
        self._desk: AnnotationService | None = None
        self._repliers: dict[str, ChatBackend] = {}
        self._turn = 0

    def work(self) -> None:
        """One conversation of the next of them who has something to do.

        Raises:
            StoreError: nobody has.
        """
        self._desk = self._desk or AnnotationService(self.store, self.config.study)
        for _ in range(PEOPLE):
            person = self._person(self._turn % PEOPLE)
            self._turn += 1
            task = self._desk.next_task(person)
            if task is not None:
                self._talk(self._desk, task.slot, task.lease, person)
                return
        raise StoreError(f"study {self.config.study!r} has no task left for the scripted annotators")

    def _person(self, number: int) -> str:
        """A pseudonym, made once for the life of the run."""
        kept = self.run.partials("annotators")
        if str(number) not in kept:
            kept[str(number)] = people.new_person(self.store)
            people.grant(self.store, kept[str(number)], self.config.study, "annotator")
            self.run.save_partial("annotators", str(number), kept[str(number)])
        return str(kept[str(number)])

    def _talk(self, desk: AnnotationService, slot: int, lease: str, person: str) -> None:
        """From where the conversation stands to its end."""
        scale = self.config.protocol.scale
        while True:
            screen = desk.view(slot, person)
            done = len(screen.turns)
            key = f"{person}-{slot}-{done}"
            if screen.waits_for_message and done >= self.config.protocol.most_turns:
                desk.submit(slot, lease, person, f"{key}-end", {"finish": "1", "success": "0"})
                return
            if screen.waits_for_message:
                text = FOLLOW_UP if done else str(screen.content.get("topic") or HELLO)
                desk.conversation.send(slot, lease, person, f"{key}-say", text)
                continue
            last = screen.turns[-1]
            if not last.ready:
                self._answer()
                continue
            left, right = (side.text for side in last.replies)
            form = {"scale": str(self.known.to_scale(left, right, scale, annotator=person))}
            desk.conversation.vote(slot, lease, person, f"{key}-vote", last.number, form)

    def _answer(self) -> None:
        """What a server's worker does, for the replies that are wanted now."""
        desk = self._desk
        assert desk is not None
        specs = {(self.config.study, spec.name): spec for spec in desk.refresh().policies}
        while job := conversation.take_job(self.store, "scripted", policies=list(specs), lease_ms=500):
            spec = specs[job.study, job.policy]
            digest = spec_digest(spec)
            if digest not in self._repliers:
                self._repliers = {**dict(list(self._repliers.items())[-3:]), digest: open_chat_backend(spec)}
            found = self._repliers[digest].reply(job.dialogue, seed=job.seed)
            details: dict[str, Any] = dict(found.details)
            conversation.finish_reply(self.store, job.reply, "scripted", found.text, details)
        time.sleep(0.001)  # a reply that a killed run was at is free again when its lease has ended
