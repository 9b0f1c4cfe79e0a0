"""What a person at the page does, without the page: take a task, write, choose, hand in, take back.

The desk joins a study's definition, its protocol and the store. It hands out `TaskView`s that hold nothing an annotator
may not see: no policy's name, no gold answer, sides in the order of a keyed hash. What was shown where is kept with
each judgement.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from preflab.data.store import conversation, judgements, queue
from preflab.data.store.conversation import Turn
from preflab.data.store.judgements import Judgement, Receipt
from preflab.data.store.log import canonical, sha256
from preflab.data.store.open import Store
from preflab.data.store.queue import Task
from preflab.data.store.studies import Item, definition_of, find_study, items_of, revision_of
from preflab.errors import DataError, NotThere, StoreError
from preflab.feedback.annotation.blinding import drawn, order_shown
from preflab.feedback.annotation.task_view import Feedback, PastJudgement, ReplyView, TaskView, TurnView
from preflab.feedback.protocols.protocol import Answer, Content, Form, read_seconds, read_text
from preflab.feedback.study import StudyDefinition

HIDDEN = ("policies", "policy", "best", "broken", "answer", "feedback", "clips", "step", "run")
"""Fields of an item that no page shows before the judgement is made."""
_DAY_MS = 86_400_000
_LONGEST_MESSAGE = 20_000


class AnnotationService:
    """A study open for judging; one serves all people."""

    def __init__(self, store: Store, study: str) -> None:
        self.store, self.study = store, study
        self._revision, self._definition = 0, StudyDefinition(name=study)
        self._key = store.secret("order")
        self._consents: dict[int, str] = {}
        self.refresh()

    def refresh(self) -> StudyDefinition:
        """The definition as it stands now: an owner, or the loop, may have revised it."""
        if revision_of(self.store, self.study) != self._revision:
            found = find_study(self.store, self.study)
            self._definition, self._revision = StudyDefinition.from_mapping(found.definition), found.revision
        return self._definition

    @property
    def definition(self) -> StudyDefinition:
        """The definition as last read."""
        return self._definition

    def consent_of(self, revision: int) -> str:
        """What was agreed to under a revision."""
        if revision not in self._consents:  # a revision never changes
            told = definition_of(self.store, self.study, revision)
            self._consents[revision] = str(told.get("consent", ""))
        return self._consents[revision]

    # practice --------------------------------------------------------------------------------------------

    def practice_left(self, person: str) -> Item | None:
        """The next practice item; None once all were seen and enough were right (or none are asked for)."""
        items = items_of(self.store, self.study, "practice")
        if not items:
            return None
        seen: dict[int, list[Judgement]] = {}
        with self.store.reading() as connection:
            own = judgements.judgements_of(connection, self.study, person=person, statuses=("practice",))
            for judgement in own:
                seen.setdefault(judgement.item, []).append(judgement)
        unseen = [item for item in items if item.id not in seen]
        if unseen:
            return unseen[0]
        right = {item: any((j.says or {}).get("right") for j in found) for item, found in seen.items()}
        wrong = [item for item in items if not right[item.id]]
        needed = min(self._definition.practice_right, len(items))
        if sum(right.values()) >= needed or not wrong:
            return None
        return min(wrong, key=lambda item: len(seen[item.id]))  # the one tried least often comes round again

    def practice_screen(self, item: Item, person: str) -> TaskView:
        """A practice item on the screen."""
        content = self._visible(item.content, self._order(item.id, person, 0, item.content))
        return TaskView(self.study, 0, "", item.id, content, (), 0, self._terms(), practice=True)

    def hand_in_practice(self, item_id: int, person: str, key: str, form: Form) -> Feedback:
        """Judge a practice item; says whether it was right and why."""
        item = next((found for found in items_of(self.store, self.study, "practice") if found.id == item_id), None)
        if item is None:
            raise DataError("there is no such practice item", field="item")
        order = self._order(item.id, person, 0, item.content)
        answer = self._definition.protocol.read_answer(form, item.content, order)
        right = self._definition.protocol.right(answer, item.content)
        says = self._says(item, order, answer, form) | {"right": right}
        receipt = judgements.submit_practice(
            self.store, study=self.study, item_id=item.id, person=person, key=key, says=says
        )
        return Feedback(right, str(item.content.get("feedback", "")), receipt)

    # tasks -----------------------------------------------------------------------------------------------

    def next_task(self, person: str) -> TaskView | None:
        """The task in hand or the next one; None when nothing is left for this person.

        Raises:
            StoreError: the study is paused or closed, or the person has done as much as the exposure cap allows.
        """
        definition = self.refresh()
        cap = definition.exposure_cap
        if cap is not None and self.done_since(person, self.store.clock() - _DAY_MS) >= cap:
            raise StoreError(f"you have done {cap} tasks in 24 hours, the most this study allows; please rest")
        task = queue.claim(
            self.store,
            self.study,
            person,
            lease_ms=definition.lease_ms,
            gold_every=definition.gold_every,
            repeat_every=definition.repeat_every,
        )
        return None if task is None else self._screen(task)

    def coming(self, person: str) -> Content:
        """What would be handed out next, so that a page may fetch its films; empty where nothing. Nothing is taken."""
        item = queue.peek(self.store, self.study, person)
        return {} if item is None else self._visible(item.content, self._order(item.id, person, 0, item.content))

    def screen(self, slot: int, person: str) -> TaskView:
        """A task in hand, or finished, as it stands.

        Raises:
            LeaseLost, NotThere: as `preflab.data.store.queue.task_of`.
        """
        return self._screen(self._task(slot, person))

    def _task(self, slot: int, person: str) -> Task:
        """A task of this study, in hand or finished: one of another study would be shown by the wrong page."""
        found = queue.task_of(self.store, slot, person)
        if found.item.study != self.study:
            raise NotThere(f"study {self.study!r} has no task {slot}")
        return found

    def seconds_left(self, screen: TaskView) -> int | None:
        """Seconds until the answer is due, where the protocol has a clock: it runs from when the task was taken."""
        limit: int | None = getattr(self._definition.protocol, "seconds", None)
        if limit is None or screen.practice:
            return None
        taken = screen.expires - self._definition.lease_ms
        return max(0, round(limit - (self.store.clock() - taken) / 1000))

    def keep(self, slot: int, person: str) -> int:
        """Hold the task for longer; its new end in milliseconds. A task with a clock is not held for longer."""
        task = self._task(slot, person)
        if getattr(self._definition.protocol, "seconds", None) is not None:
            return task.expires
        return queue.renew(self.store, task, lease_ms=self._definition.lease_ms)

    def give_back(self, slot: int, person: str) -> bool:
        """Put the task back unjudged (skip); what was said in it stays in the store."""
        return queue.release(self.store, self._task(slot, person))

    def done_since(self, person: str, since: int) -> int:
        """Tasks that the person finished since then."""
        with self.store.reading() as connection:
            own = judgements.judgements_of(connection, self.study, person=person, statuses=("counted", "late"))
            return sum(
                found.at >= since and bool((found.says or {}).get("place", {}).get("completes")) for found in own
            )

    def hand_in(self, slot: int, lease: str, person: str, key: str, form: Form) -> Feedback:
        """Hand in the judgement that completes a task.

        Raises:
            DataError: the form is not whole; the message names the field.
            Conflict, LeaseLost, NotThere: as `preflab.data.store.judgements.submit`.
        """
        self._check_terms(form)
        item = self._item(slot)
        order = self._order(item.id, person, 0, item.content)
        protocol = self._definition.protocol
        answer = protocol.read_answer(form, item.content, order)
        says = self._says(item, order, answer, form)
        part = 0
        if protocol.live_replies:
            said = conversation.turns(self.store, slot, person)
            self._may_end(said, answer)
            says["conversation"] = [_told(turn) for turn in said]
            part = -1  # turns are 0, 1, 2 ...
        receipt = judgements.submit(
            self.store, study=self.study, slot_id=slot, lease=lease, person=person, key=key, says=says, part=part
        )
        right = protocol.right(answer, item.content)
        shown = getattr(protocol, "reveal", False)
        return Feedback(right if shown else None, str(item.content.get("feedback", "")) if shown else "", receipt)

    def _may_end(self, said: Sequence[Turn], answer: Answer) -> None:
        """Complain of a conversation that is too short, or still waits for a choice."""
        fewest = getattr(self._definition.protocol, "fewest_turns", 0)
        if len(said) < fewest:
            raise DataError(f"at least {fewest} turn(s) are wanted before the end, so far {len(said)}", field="finish")
        waits = bool(said) and said[-1].chosen is None and self._definition.protocol.live_replies > 1
        if waits and not any(reply.state == "failed" for reply in said[-1].replies):  # who gets no answer may go
            raise DataError("choose one of the last replies first", field="finish")
        turn = answer.get("turn")
        if turn is not None and turn >= len(said):
            raise DataError(f"the conversation has {len(said)} turn(s)", field="turn")

    def correct(self, seq: int, slot: int, person: str, key: str, form: Form) -> Receipt:
        """Put another answer in the place of one's own, while the lease runs."""
        item = self._item(slot)
        order = self._order(item.id, person, 0, item.content)
        answer = self._definition.protocol.read_answer(form, item.content, order)
        says = self._says(item, order, answer, form)
        return judgements.correct(self.store, seq=seq, person=person, key=key, says=says)

    def finished(self, slot: int) -> bool:
        """Whether a task has its judgement."""
        return queue.is_filled(self.store, slot)

    def history(self, person: str) -> list[PastJudgement]:
        """One's own judgements, newest first; of a conversation the end stands for the whole."""
        with self.store.reading() as connection:
            own = list(judgements.judgements_of(connection, self.study, person=person))
            ends = queue.ends(connection, [found.slot for found in own if found.slot is not None])
        now, found = self.store.clock(), []
        for one in reversed(own):
            if one.status == "practice" or (one.says is not None and not one.says["place"]["completes"]):
                continue
            left = ends.get(one.slot or 0, 0) - now if one.status == "counted" else 0
            found.append(PastJudgement(one, max(0, left)))
        return found

    # conversations ---------------------------------------------------------------------------------------

    def say(self, slot: int, lease: str, person: str, key: str, text: str, *, fresh: bool = False) -> int:
        """Write the next message; the policies answer in their own time. The turn's number.

        Raises:
            DataError: nothing was written, too much, or the conversation has had its turns.
            Conflict, LeaseLost: as `preflab.data.store.conversation.begin_turn`.
        """
        item, protocol = self._item(slot), self._definition.protocol
        message = read_text({"message": text}, "message", longest=_LONGEST_MESSAGE, needed=True)
        said = conversation.turns(self.store, slot, person)
        most = getattr(protocol, "most_turns", 1)
        again = said and said[-1].text == message and said[-1].chosen is None
        if len(said) >= most and not again:
            raise DataError(f"this conversation has had its {most} turns; please end it", field="message")
        if protocol.name == "questions" and not item.content.get("assisted"):
            raise DataError("this question is to be answered without help", field="message")
        if protocol.live_replies == 1 and said and said[-1].chosen is None and said[-1].ready:
            self._go_on(said[-1].id)
        return conversation.begin_turn(
            self.store,
            slot_id=slot,
            lease=lease,
            person=person,
            text=message,
            key=key,
            policies=self._who_answers(slot, person, len(said)),
            fresh=fresh,
        )

    def _go_on(self, turn: int) -> None:
        """With one reply there is nothing to choose."""
        with self.store.writing() as connection:
            conversation.choose(connection, turn, 0)

    def _who_answers(self, slot: int, person: str, number: int) -> list[str]:
        """Names of the policies, by place: drawn for each turn, each equally often; one alone answers twice."""
        names = [policy.name for policy in self._definition.policies]
        if not names:
            raise StoreError("no policy answers in this study")
        if self._definition.protocol.live_replies == 1:
            return drawn(self._key, names, 1, self.study, slot, person)  # the same one all the way
        return drawn(self._key, names, self._definition.protocol.live_replies, self.study, slot, person, number)

    def ask_again(self, slot: int, person: str) -> int:
        """Ask once more for replies that did not come; how many."""
        return conversation.ask_again(self.store, slot, person)

    def vote(self, slot: int, lease: str, person: str, key: str, number: int, form: Form) -> Receipt:
        """Pick one of the replies of a turn; the conversation goes on from it.

        Raises:
            DataError: the form is not whole, or the replies are not all there.
            Conflict, LeaseLost, NotThere: as `preflab.data.store.judgements.submit`.
        """
        self._check_terms(form)
        item, protocol = self._item(slot), self._definition.protocol
        turn = conversation.turn_of(self.store, slot, person, number)
        if not turn.ready:
            raise DataError("the replies are not all there yet", field="scale")
        order = self._turn_order(item, person, turn)
        answer = protocol.read_answer(form, item.content, order)
        if "picked" not in answer:
            raise DataError("choose one of the replies", field="scale")
        says = self._says(item, order, answer, form)
        said = conversation.turns(self.store, slot, person)
        says["messages"] = _messages(item.content, said, number)
        says["replies"] = [{"policy": r.policy, "text": r.text, "details": r.details} for r in turn.replies]
        return judgements.submit(
            self.store,
            study=self.study,
            slot_id=slot,
            lease=lease,
            person=person,
            key=key,
            says=says,
            part=number,
            completes=False,
            within=lambda connection: conversation.choose(
                connection, turn.id, answer["picked"], edited=answer.get("edited")
            ),
        )

    # what is shown ---------------------------------------------------------------------------------------

    def _screen(self, task: Task) -> TaskView:
        item, person = task.item, task.person
        content = self._visible(item.content, self._order(item.id, person, 0, item.content))
        said = conversation.turns(self.store, task.slot, person) if self._definition.protocol.live_replies else []
        exchanges = tuple(self._exchange(item, person, turn) for turn in said)
        return TaskView(self.study, task.slot, task.lease, item.id, content, exchanges, task.expires, self._terms())

    def _exchange(self, item: Item, person: str, turn: Turn) -> TurnView:
        order = self._turn_order(item, person, turn)
        waiting = not turn.ready and len(turn.replies) > 1
        sides = []
        for place, own in enumerate(order):
            reply = turn.replies[own]
            state = "writing" if waiting and reply.state == "done" else reply.state  # which one was faster says nothing
            sides.append(ReplyView(place, reply.text, state, turn.chosen == own))
        outcome = turn.outcome
        if len(turn.replies) == 1 and turn.ready:
            outcome = turn.replies[0].text
        return TurnView(turn.number, turn.text, turn.fresh, tuple(sides), outcome)

    def _terms(self) -> str:
        told = self._definition.to_json()
        return sha256(canonical([told["protocol"], told["settings"]]))[:16]

    def _check_terms(self, form: Form) -> None:
        """Refuse a form that was made under other settings: its numbers would mean something else."""
        if form.get("terms", self._terms()) != self._terms():
            raise DataError("the study was changed while this page was open; please look again", field="terms")

    def _order(self, item: int, person: str, part: int, content: Content) -> tuple[int, ...]:
        places = self._definition.protocol.places(content)
        return order_shown(self._key, places, self.study, item, person, part)

    def _turn_order(self, item: Item, person: str, turn: Turn) -> tuple[int, ...]:
        return order_shown(self._key, len(turn.replies), self.study, item.id, person, "turn", turn.number)

    def _visible(self, content: Content, order: Sequence[int]) -> Content:
        """An item without what is hidden, its replies or films in the order shown."""
        shown = {name: value for name, value in content.items() if name not in HIDDEN}
        for name in ("replies", "films"):
            if name in shown and order:
                shown[name] = [content[name][place] for place in order]
        return shown

    def _item(self, slot: int) -> Item:
        return queue.item_of_slot(self.store, self.study, slot)

    def _says(self, item: Item, order: Sequence[int], answer: Answer, form: Form) -> dict[str, Any]:
        """All that is needed to understand a judgement later."""
        protocol = self._definition.protocol
        return {
            "protocol": protocol.name,
            "protocol_version": protocol.version,
            "revision": self._revision,
            "purpose": item.purpose,
            "repeats": item.repeats,
            "content": item.content,
            "shown": list(order),
            "answer": answer,
            "seconds": read_seconds(form),
        }


def _told(turn: Turn) -> dict[str, Any]:
    """A turn for the record."""
    replies = [{"policy": r.policy, "text": r.text, "state": r.state, "details": r.details} for r in turn.replies]
    told: dict[str, Any] = {"text": turn.text, "fresh": turn.fresh, "chosen": turn.chosen, "edited": turn.edited}
    return told | {"replies": replies, "at": turn.at}


def _messages(content: Mapping[str, Any], said: Sequence[Turn], number: int) -> list[dict[str, str]]:
    """What stood above the replies of a turn."""
    messages = [dict(message) for message in content.get("messages", [])]
    for turn in said:
        messages.append({"role": "user", "content": turn.text})
        if turn.number == number:
            break
        messages.append({"role": "assistant", "content": turn.outcome or ""})
    return messages
