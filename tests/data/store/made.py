"""Small studies with people, for the tests of the store."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from preflab.data.store import Store, judgements, people, queue, studies
from preflab.data.store.judgements import Receipt
from preflab.data.store.queue import Task
from preflab.data.store.schema import judgement, slot
from preflab.data.store.studies import NewItem

MINUTE = 60_000
LEASE = 30 * MINUTE
"""What ``claim`` gives unless told otherwise."""


def study_of(store: Store, *items: NewItem | str, name: str = "helpful", slots: int = 1) -> str:
    """A study with these items; a text is the name of a main item with ``slots`` slots."""
    studies.create_study(store, name, {"protocol": "pairs"})
    found = [x if isinstance(x, NewItem) else NewItem(name=x, content={"of": x}, slots=slots) for x in items]
    if found:
        studies.add_items(store, name, found)
    return name


def crowd(store: Store, n: int) -> list[str]:
    """So many people."""
    return [people.new_person(store) for _ in range(n)]


def hand_in(store: Store, task: Task, *, answer: Any = "a", key: str | None = None, **more: Any) -> Receipt:
    """Judge a task that was claimed."""
    return judgements.submit(
        store,
        study=task.item.study,
        slot_id=task.slot,
        lease=task.lease,
        person=task.person,
        key=key or f"key-{task.lease}",
        payload={"answer": answer},
        **more,
    )


def judge_all(store: Store, study: str, persons: Sequence[str]) -> list[Receipt]:
    """Everybody takes and judges what there is for them, in turns."""
    receipts = []
    going = list(persons)
    while going:
        for person in list(going):
            task = queue.claim(store, study, person)
            if task is None:
                going.remove(person)
            else:
                receipts.append(hand_in(store, task))
    return receipts


def rows(store: Store, table: sa.Table, *order: sa.ColumnElement[Any]) -> list[dict[str, Any]]:
    """A whole table."""
    with store.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*order))]


def faults(store: Store) -> tuple[str, ...]:
    """What must never be, whatever happened: of the log, of the tables against it, and of the slots."""
    found = list(judgements.verify(store).problems)
    slots = rows(store, slot, slot.c.id)
    counted = [row for row in rows(store, judgement) if row["status"] == "counted" and row["completes"]]
    filled = {row["filled"] for row in slots if row["filled"] is not None}
    if {row["seq"] for row in counted} - filled:
        found.append("a judgement counts and fills no slot")
    pairs = [(row["item"], row["person"]) for row in counted]
    if len(pairs) != len(set(pairs)):
        found.append("somebody counts twice on one item")
    if len({row["slot"] for row in counted}) != len(counted):
        found.append("two judgements of one slot count")
    return tuple(found)
