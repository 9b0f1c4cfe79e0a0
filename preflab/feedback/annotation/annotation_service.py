"""What a person at the page does, without the page: take a task, judge it, hand it in, take it back.

The service joins a study's definition, its protocol and the store. It hands out `TaskView`s that hold nothing an
annotator may not see: no policy's name, no gold answer, sides in the order of a keyed hash. What was shown where is
stored with each judgement.
"""

from preflab.data.store import judgements, queue
from preflab.data.store.judgements import Receipt
from preflab.data.store.open import Store
from preflab.data.store.queue import Task
from preflab.errors import NotThere, StoreError
from preflab.feedback.annotation.live_conversation import LiveConversation, turn_record
from preflab.feedback.annotation.open_study import OpenStudy
from preflab.feedback.annotation.practice import Practice
from preflab.feedback.annotation.task_view import Feedback, PastJudgement, TaskView
from preflab.feedback.protocols.protocol import Content, Form
from preflab.feedback.study import StudyDefinition

_DAY_MS = 86_400_000


class AnnotationService:
    """The tasks of a study, open for judging; one serves all people."""

    def __init__(self, store: Store, study: str) -> None:
        self._open = OpenStudy(store, study)
        self.store, self.study = store, study
        self.practice = Practice(self._open)
        self.conversation = LiveConversation(self._open)

    def refresh(self) -> StudyDefinition:
        """The definition as it stands now: an owner, or the loop, may have revised it."""
        return self._open.refresh()

    @property
    def definition(self) -> StudyDefinition:
        """The definition as last read."""
        return self._open.definition

    def consent_of(self, revision: int) -> str:
        """What was agreed to under a revision."""
        return self._open.consent_of(revision)

    # taking a task ---------------------------------------------------------------------------------------

    def next_task(self, person: str) -> TaskView | None:
        """The task in hand or the next one; None when nothing is left for this person.

        Raises:
            StoreError: the study is paused or closed, or the person has done as much as the exposure cap allows.
        """
        definition = self.refresh()
        cap = definition.exposure_cap
        if cap is not None and self.count_finished(person, since=self.store.clock() - _DAY_MS) >= cap:
            raise StoreError(f"you have done {cap} tasks in 24 hours, the most this study allows; please rest")
        task = queue.claim(
            self.store,
            self.study,
            person,
            lease_ms=definition.lease_ms,
            gold_every=definition.gold_every,
            repeat_every=definition.repeat_every,
        )
        return None if task is None else self._open.view(task)

    def peek(self, person: str) -> Content:
        """What would be handed out next, so that a page may fetch its films; empty where nothing. Nothing is taken."""
        item = queue.peek(self.store, self.study, person)
        return {} if item is None else self._open.visible(item, person)

    def view(self, slot: int, person: str) -> TaskView:
        """A task in hand, or finished, as it stands.

        Raises:
            LeaseLost, NotThere: as `preflab.data.store.queue.task_of`.
        """
        return self._open.view(self._task(slot, person))

    def _task(self, slot: int, person: str) -> Task:
        """A task of this study, in hand or finished: one of another study would be shown by the wrong page."""
        task = queue.task_of(self.store, slot, person)
        if task.item.study != self.study:
            raise NotThere(f"study {self.study!r} has no task {slot}")
        return task

    def seconds_left(self, view: TaskView) -> int | None:
        """Seconds until the answer is due, where the protocol has a clock: it runs from when the task was taken."""
        limit: int | None = getattr(self.definition.protocol, "seconds", None)
        if limit is None or view.practice:
            return None
        taken_at = view.expires - self.definition.lease_ms
        return max(0, round(limit - (self.store.clock() - taken_at) / 1000))

    def renew_lease(self, slot: int, person: str) -> int:
        """Hold the task for longer; its new end in milliseconds. A task with a clock is not held for longer."""
        task = self._task(slot, person)
        if getattr(self.definition.protocol, "seconds", None) is not None:
            return task.expires
        return queue.renew(self.store, task, lease_ms=self.definition.lease_ms)

    def give_back(self, slot: int, person: str) -> bool:
        """Put the task back unjudged (skip); what was said in it stays in the store."""
        return queue.release(self.store, self._task(slot, person))

    # judging it ------------------------------------------------------------------------------------------

    def submit(self, slot: int, lease: str, person: str, key: str, form: Form) -> Feedback:
        """Hand in the judgement that completes a task.

        Raises:
            DataError: the form is not whole; the message names the field.
            Conflict, LeaseLost, NotThere: as `preflab.data.store.judgements.submit`.
        """
        self._open.check_terms(form)
        item = queue.item_of_slot(self.store, self.study, slot)
        order = self._open.item_order(item, person)
        protocol = self._open.protocol
        answer = protocol.read_answer(form, item.content, order)
        payload = self._open.payload(item, order, answer, form)
        part = 0
        if protocol.live_replies:
            turns = self.conversation.turns(slot, person)
            self.conversation.check_end(turns, answer)
            payload["conversation"] = [turn_record(turn) for turn in turns]
            part = -1  # turns are 0, 1, 2 ...
        receipt = judgements.submit(
            self.store, study=self.study, slot_id=slot, lease=lease, person=person, key=key, payload=payload, part=part
        )
        right = protocol.right(answer, item.content)
        reveal = getattr(protocol, "reveal", False)
        return Feedback(right if reveal else None, str(item.content.get("feedback", "")) if reveal else "", receipt)

    def correct(self, seq: int, slot: int, person: str, key: str, form: Form) -> Receipt:
        """Put another answer in the place of an earlier one of the same person, while the lease runs."""
        item = queue.item_of_slot(self.store, self.study, slot)
        order = self._open.item_order(item, person)
        answer = self._open.protocol.read_answer(form, item.content, order)
        payload = self._open.payload(item, order, answer, form)
        return judgements.correct(self.store, seq=seq, person=person, key=key, payload=payload)

    # what was judged -------------------------------------------------------------------------------------

    def is_finished(self, slot: int) -> bool:
        """Whether a task has its judgement."""
        return queue.is_filled(self.store, slot)

    def count_finished(self, person: str, *, since: int) -> int:
        """Tasks that the person finished since then, in milliseconds since 1970."""
        with self.store.reading() as connection:
            return sum(
                judgement.at >= since and bool((judgement.payload or {}).get("place", {}).get("completes"))
                for judgement in judgements.judgements_of(
                    connection, self.study, person=person, statuses=("counted", "late")
                )
            )

    def history(self, person: str) -> list[PastJudgement]:
        """A person's judgements, newest first; of a conversation the end stands for all of it."""
        with self.store.reading() as connection:
            of_person = list(judgements.judgements_of(connection, self.study, person=person))
            ends = queue.lease_ends(connection, [j.slot for j in of_person if j.slot is not None])
        now, past = self.store.clock(), []
        for judgement in reversed(of_person):
            is_part = judgement.payload is not None and not judgement.payload["place"]["completes"]
            if judgement.status == "practice" or is_part:
                continue
            undo_ms = ends.get(judgement.slot or 0, 0) - now if judgement.status == "counted" else 0
            past.append(PastJudgement(judgement, max(0, undo_ms)))
        return past
