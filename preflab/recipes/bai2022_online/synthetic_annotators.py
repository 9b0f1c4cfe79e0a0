"""Synthetic annotators of a study: they talk, let the policies answer, choose by a known preference.

They do through the annotation service what a person does through the page, in this process. A run that was killed goes
on with the task they had in hand.
"""

import time

from preflab.data.store import conversation, people
from preflab.data.store.open import Store
from preflab.errors import StoreError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.labellers.synthetic_annotator import SyntheticPreference
from preflab.recipes.bai2022_online.config import Config
from preflab.rollouts.servers.chat_backends import ChatBackend, open_chat_backend, spec_digest
from preflab.run import Run

PEOPLE = 5
FOLLOW_UP = "Thanks. Could you put that in another way?"
HELLO = "Hello, what can you help me with?"


class SyntheticAnnotators:
    """A few of them, who take turns."""

    def __init__(self, store: Store, config: Config, run: Run) -> None:
        if config.true_preference is None:
            raise StoreError("scripted annotators need a preference that is known")
        self.store, self.config, self.run = store, config, run
        self.preference: SyntheticPreference = config.true_preference
        self._service: AnnotationService | None = None
        self._backends: dict[str, ChatBackend] = {}
        self._turn = 0

    def work(self) -> None:
        """One conversation of the next of them who has something to do.

        Raises:
            StoreError: nobody has.
        """
        self._service = self._service or AnnotationService(self.store, self.config.study)
        for _ in range(PEOPLE):
            person = self._person(self._turn % PEOPLE)
            self._turn += 1
            task = self._service.next_task(person)
            if task is not None:
                self._converse(self._service, task.slot, task.lease, person)
                return
        raise StoreError(f"study {self.config.study!r} has no task left for the scripted annotators")

    def _person(self, number: int) -> str:
        """A pseudonym, made once for the life of the run."""
        pseudonyms = self.run.partials("annotators")
        if str(number) not in pseudonyms:
            pseudonyms[str(number)] = people.new_person(self.store)
            people.grant(self.store, pseudonyms[str(number)], self.config.study, "annotator")
            self.run.save_partial("annotators", str(number), pseudonyms[str(number)])
        return str(pseudonyms[str(number)])

    def _converse(self, service: AnnotationService, slot: int, lease: str, person: str) -> None:
        """From where the conversation stands to its end."""
        scale = self.config.protocol.scale
        while True:
            view = service.view(slot, person)
            n_turns = len(view.turns)
            key = f"{person}-{slot}-{n_turns}"
            if view.waits_for_message and n_turns >= self.config.protocol.most_turns:
                service.submit(slot, lease, person, f"{key}-end", {"finish": "1", "success": "0"})
                return
            if view.waits_for_message:
                text = FOLLOW_UP if n_turns else str(view.content.get("topic") or HELLO)
                service.conversation.send(slot, lease, person, f"{key}-say", text)
                continue
            last = view.turns[-1]
            if not last.ready:
                self._answer()
                continue
            left, right = (reply.text for reply in last.replies)
            form = {"scale": str(self.preference.to_scale(left, right, scale, annotator=person))}
            service.conversation.vote(slot, lease, person, f"{key}-vote", last.number, form)

    def _answer(self) -> None:
        """What a server's worker does, for the replies that are wanted now."""
        service = self._service
        assert service is not None
        specs = {(self.config.study, spec.name): spec for spec in service.refresh().policies}
        while job := conversation.take_job(self.store, "scripted", policies=list(specs), lease_ms=500):
            spec = specs[job.study, job.policy]
            digest = spec_digest(spec)
            if digest not in self._backends:
                self._backends = {**dict(list(self._backends.items())[-3:]), digest: open_chat_backend(spec)}
            reply = self._backends[digest].reply(job.dialogue, seed=job.seed)
            conversation.finish_reply(self.store, job.reply, "scripted", reply.text, reply.details)
        time.sleep(0.001)  # a reply that a killed run was at is free again when its lease has ended
