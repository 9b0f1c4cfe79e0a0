"""A study as annotators may see it: its definition, the order things are shown in, and what is hidden."""

from collections.abc import Sequence
from typing import Any

from preflab.data.store import conversation
from preflab.data.store.conversation import Turn
from preflab.data.store.log import canonical, sha256
from preflab.data.store.open import Store
from preflab.data.store.queue import Task
from preflab.data.store.studies import Item, definition_of, find_study, revision_of
from preflab.errors import DataError
from preflab.feedback.annotation.blinding import order_shown
from preflab.feedback.annotation.task_view import ReplyView, TaskView, TurnView
from preflab.feedback.protocols.protocol import Answer, Content, Form, JudgementProtocol, read_seconds
from preflab.feedback.study import StudyDefinition

HIDDEN = ("policies", "policy", "best", "broken", "answer", "feedback", "clips", "step", "run")
"""Fields of an item that no page shows before the judgement is made."""


class OpenStudy:
    """The definition of a study of a store, and views of its items; what all parts of the annotation service share."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name, self.key = store, name, store.secret("order")
        self._revision, self._definition = 0, StudyDefinition(name=name)
        self._consents: dict[int, str] = {}
        self.refresh()

    def refresh(self) -> StudyDefinition:
        """The definition as it stands now: an owner, or the loop, may have revised it."""
        if revision_of(self.store, self.name) != self._revision:
            record = find_study(self.store, self.name)
            self._definition, self._revision = StudyDefinition.from_mapping(record.definition), record.revision
        return self._definition

    @property
    def definition(self) -> StudyDefinition:
        """The definition as last read."""
        return self._definition

    @property
    def protocol(self) -> JudgementProtocol:
        """The protocol as last read."""
        return self._definition.protocol

    def consent_of(self, revision: int) -> str:
        """What was agreed to under a revision."""
        if revision not in self._consents:  # a revision never changes
            definition = definition_of(self.store, self.name, revision)
            self._consents[revision] = str(definition.get("consent", ""))
        return self._consents[revision]

    # what is shown ---------------------------------------------------------------------------------------

    def item_order(self, item: Item, person: str) -> tuple[int, ...]:
        """The order in which a person sees the replies or films of an item."""
        return order_shown(self.key, self.protocol.places(item.content), self.name, item.id, person, 0)

    def turn_order(self, item: Item, person: str, turn: Turn) -> tuple[int, ...]:
        """The order in which a person sees the replies of a turn."""
        return order_shown(self.key, len(turn.replies), self.name, item.id, person, "turn", turn.number)

    def visible(self, item: Item, person: str) -> Content:
        """An item without what is hidden, its replies or films in the order shown."""
        order = self.item_order(item, person)
        visible = {name: value for name, value in item.content.items() if name not in HIDDEN}
        for name in ("replies", "films"):
            if name in visible and order:
                visible[name] = [item.content[name][number] for number in order]
        return visible

    def view(self, task: Task) -> TaskView:
        """A task, with the conversation so far."""
        item, person = task.item, task.person
        turns = conversation.turns(self.store, task.slot, person) if self.protocol.live_replies else []
        turn_views = tuple(self._turn_view(item, person, turn) for turn in turns)
        content = self.visible(item, person)
        return TaskView(self.name, task.slot, task.lease, item.id, content, turn_views, task.expires, self.terms())

    def practice_view(self, item: Item, person: str) -> TaskView:
        """A practice item."""
        return TaskView(self.name, 0, "", item.id, self.visible(item, person), (), 0, self.terms(), practice=True)

    def _turn_view(self, item: Item, person: str, turn: Turn) -> TurnView:
        waiting = not turn.ready and len(turn.replies) > 1
        replies = []
        for position, number in enumerate(self.turn_order(item, person, turn)):
            reply = turn.replies[number]
            state = "writing" if waiting and reply.state == "done" else reply.state  # which one was faster says nothing
            replies.append(ReplyView(position, reply.text, state, turn.chosen == number))
        outcome = turn.outcome
        if len(turn.replies) == 1 and turn.ready:
            outcome = turn.replies[0].text
        return TurnView(turn.number, turn.text, turn.fresh, tuple(replies), outcome)

    # what is recorded ------------------------------------------------------------------------------------

    def terms(self) -> str:
        """Digest of the protocol's settings."""
        definition = self._definition.to_json()
        return sha256(canonical([definition["protocol"], definition["settings"]]))[:16]

    def check_terms(self, form: Form) -> None:
        """Refuse a form that was made under other settings: its numbers would mean something else."""
        if form.get("terms", self.terms()) != self.terms():
            raise DataError("the study was changed while this page was open; please look again", field="terms")

    def payload(self, item: Item, order: Sequence[int], answer: Answer, form: Form) -> dict[str, Any]:
        """All that is needed to understand a judgement later."""
        return {
            "protocol": self.protocol.name,
            "protocol_version": self.protocol.version,
            "revision": self._revision,
            "purpose": item.purpose,
            "repeats": item.repeats,
            "content": item.content,
            "shown": list(order),
            "answer": answer,
            "seconds": read_seconds(form),
        }
