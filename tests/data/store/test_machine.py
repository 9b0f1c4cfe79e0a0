"""The queue and the judgements against a model of ours, whatever happens in whatever order."""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from preflab.data.store import judgements, open_store, people, queue
from preflab.data.store.judgements import Receipt
from preflab.data.store.queue import Task
from preflab.data.store.schema import judgement, slot
from preflab.data.store.studies import NewItem
from preflab.errors import Conflict, LeaseLost, NotThere
from tests.data.store.conftest import Clock
from tests.data.store.made import MINUTE, crowd, faults, hand_in, rows, study_of

PEOPLE = 4
ITEMS = {"x": 2, "y": 1, "r": 2}
"""Slots of each; ``r`` is shown a second time."""
GOLD_EVERY = 3

persons = st.integers(0, PEOPLE - 1)


@dataclass
class Sent:
    """A judgement that was acknowledged, as we think it stands."""

    task: Task
    key: str
    answer: str
    receipt: Receipt
    status: str
    supersedes: int | None = None


@dataclass
class Model:
    """What we think: who holds what until when, what is filled by what, and what became of each judgement."""

    holds: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    """Slot -> person, lease, end. Filled or not."""
    filled: dict[int, int] = field(default_factory=dict)
    """Slot -> judgement."""
    sent: dict[int, Sent] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)

    def free(self, number: int) -> None:
        self.holds.pop(number, None)
        self.filled.pop(number, None)


class Judging(RuleBasedStateMachine):
    """People who claim, judge, correct, undo, skip and leave, while time passes."""

    tasks = Bundle("tasks")
    receipts = Bundle("receipts")

    @initialize()
    def make(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.model, self.keys = Clock(), Model(), 0
        self.store = open_store(Path(self.folder.name) / "store.sqlite", clock=self.clock)
        items = [NewItem(name=name, content={}, slots=n, repeat=name == "r") for name, n in ITEMS.items()]
        self.study = study_of(self.store, *items, NewItem(name="gold", content={}, purpose="gold"))
        self.people = crowd(self.store, PEOPLE)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()

    def key(self) -> str:
        self.keys += 1
        return f"key-{self.keys:08}"

    @rule(minutes=st.sampled_from([1, 10, 31]))
    def time_passes(self, minutes: int) -> None:
        self.clock.turn(minutes=minutes)

    @rule(target=tasks, n=persons)
    def claim(self, n: int) -> Any:
        who, now, model = self.people[n], self.clock.now, self.model
        if who in model.erased:
            return self.refused(lambda: queue.claim(self.store, self.study, who), NotThere)
        own = [s for s, (holder, _, _) in model.holds.items() if holder == who and s not in model.filled]
        task = queue.claim(self.store, self.study, who, gold_every=GOLD_EVERY)
        if task is None:
            assert not own
            return multiple()
        if own:
            assert task.slot == own[0]
        if task.slot in model.holds:
            holder, lease, end = model.holds[task.slot]
            assert task.slot not in model.filled, "a filled slot was handed out"
            assert end < now or (holder, lease) == (who, task.lease), "a slot that is held was handed out"
        if not own:
            self.never_seen(task, who)
        done = sum(holder == who and s in model.filled for s, (holder, _, _) in model.holds.items())
        seen = {s.task.item.name for s in model.sent.values() if s.task.person == who}
        if not own and (done + 1) % GOLD_EVERY == 0 and "gold" not in seen:
            assert task.item.name == "gold"
        if task.item.repeats is not None:
            assert task.item.name.removesuffix(" (again)") in seen
        assert queue.is_lease(self.store, task.lease, task.slot, who)
        model.holds[task.slot] = who, task.lease, task.expires
        return task

    def never_seen(self, task: Task, who: str) -> None:
        """Neither judged in time (what came late does not count, and is offered again), nor held in another slot."""
        in_time = [s for s in self.model.sent.values() if s.status != "late" or s.task.item.purpose == "gold"]
        assert task.item.id not in {s.task.item.id for s in in_time if s.task.person == who}

    def refused(self, act: Any, *errors: type[Exception]) -> Any:
        try:
            act()
        except errors:
            return multiple()
        raise AssertionError(f"should have been refused with {errors}")

    @rule(target=receipts, task=tasks, answer=st.sampled_from("ab"))
    def submit(self, task: Task, answer: str) -> Any:
        model, key = self.model, self.key()
        holder, lease, end = model.holds.get(task.slot, ("", "", 0))
        ours = (holder, lease) == (task.person, task.lease)
        if task.person in model.erased:
            return self.refused(lambda: hand_in(self.store, task, key=key, answer=answer), NotThere)
        if ours and task.slot in model.filled:
            return self.refused(lambda: hand_in(self.store, task, key=key, answer=answer), Conflict)
        receipt = hand_in(self.store, task, key=key, answer=answer)
        assert not receipt.again
        assert receipt.status == ("counted" if ours and end >= self.clock.now else "late")
        if receipt.status == "counted":
            model.filled[task.slot] = receipt.seq
        elif ours:
            model.free(task.slot)
        model.sent[receipt.seq] = Sent(task, key, answer, receipt, receipt.status)
        return receipt

    @rule(receipt=receipts, other=st.booleans())
    def retry(self, receipt: Receipt, other: bool) -> None:
        """The same form arrives once more, or another answer under its key."""
        sent = self.model.sent[receipt.seq]
        if sent.supersedes is not None:
            return
        answer = sent.answer if not other else "c"
        if other and sent.status != "erased":
            self.refused(lambda: hand_in(self.store, sent.task, key=sent.key, answer=answer), Conflict)
        else:
            assert hand_in(self.store, sent.task, key=sent.key, answer=answer) == Receipt(
                receipt.seq,
                sent.status,
                again=True,  # type: ignore[arg-type]
            )

    def changeable(self, sent: Sent) -> bool:
        holder, _, end = self.model.holds.get(sent.task.slot, ("", "", 0))
        return sent.status == "counted" and holder == sent.task.person and end >= self.clock.now

    @rule(target=receipts, receipt=receipts)
    def correct(self, receipt: Receipt) -> Any:
        sent, key = self.model.sent[receipt.seq], self.key()

        def act() -> Receipt:
            return judgements.correct(
                self.store, seq=receipt.seq, person=sent.task.person, key=key, payload={"answer": "b"}
            )

        if not self.changeable(sent):
            return self.refused(act, Conflict, LeaseLost)
        new = act()
        sent.status = "superseded"
        self.model.sent[new.seq] = Sent(sent.task, key, "b", new, "counted", supersedes=receipt.seq)
        self.model.filled[sent.task.slot] = new.seq
        return new

    @rule(receipt=receipts)
    def withdraw(self, receipt: Receipt) -> None:
        sent = self.model.sent[receipt.seq]

        def act() -> None:
            judgements.withdraw(self.store, seq=receipt.seq, person=sent.task.person)

        if not self.changeable(sent):
            self.refused(act, Conflict, LeaseLost)
            return
        act()
        for number, (holder, _, _) in list(self.model.holds.items()):
            if holder == sent.task.person and number not in self.model.filled:
                self.model.free(number)  # what they had in hand goes back
        sent.status = "withdrawn"
        del self.model.filled[sent.task.slot]

    @rule(receipt=receipts)
    def discard(self, receipt: Receipt) -> None:
        sent = self.model.sent[receipt.seq]

        def act() -> None:
            judgements.discard(self.store, seq=receipt.seq, actor="p-owner", reason="planted")

        if sent.status != "counted":
            self.refused(act, Conflict)
            return
        act()
        sent.status = "withdrawn"
        self.model.free(sent.task.slot)

    @rule(task=consumes(tasks))
    def release(self, task: Task) -> None:
        ours = self.model.holds.get(task.slot, ("", "", 0))[:2] == (task.person, task.lease)
        ours = ours and task.slot not in self.model.filled
        assert queue.release(self.store, task) == ours
        if ours:
            self.model.free(task.slot)

    @rule(task=tasks)
    def renew(self, task: Task) -> None:
        holder, lease, _ = self.model.holds.get(task.slot, ("", "", 0))

        def act() -> int:
            return queue.renew(self.store, task, lease_ms=10 * MINUTE)

        if (holder, lease) != (task.person, task.lease) or task.slot in self.model.filled:
            self.refused(act, LeaseLost)
        else:
            self.model.holds[task.slot] = holder, lease, act()

    @rule(n=persons)
    def erase(self, n: int) -> None:
        who, model = self.people[n], self.model
        if n != 0 or len(model.sent) < 4:  # one of them may leave, late
            return
        people.erase_person(self.store, who, actor="p-owner")
        model.erased.add(who)
        for number, (holder, _, _) in list(model.holds.items()):
            if holder == who and number not in model.filled:
                model.free(number)
        for sent in model.sent.values():
            if sent.task.person == who:
                sent.status = "erased"

    @invariant()
    def the_store_is_as_we_think(self) -> None:
        if not hasattr(self, "store"):
            return
        model = self.model
        there = {row["seq"]: row["status"] for row in rows(self.store, judgement)}
        assert there == {seq: sent.status for seq, sent in model.sent.items()}
        slots = rows(self.store, slot)
        assert {row["id"]: row["filled"] for row in slots if row["filled"] is not None} == model.filled
        held = {row["id"]: (row["holder"], row["lease"], row["expires"]) for row in slots if row["holder"]}
        assert held == model.holds
        counted = Counter(s.task.slot for s in model.sent.values() if s.status == "counted")
        assert max(counted.values(), default=1) == 1
        assert faults(self.store) == ()


TestJudging = Judging.TestCase
TestJudging.settings = settings(
    max_examples=12, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
