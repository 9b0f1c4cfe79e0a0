"""Who judges what next: slots, leased for a while, never held or filled twice.

On SQLite a claim's transaction is the only writer; on PostgreSQL the row is locked and rows that others have locked are
skipped. The constraints of `preflab.data.store.schema` hold whatever this file does.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import queue_queries
from preflab.data.store.open import Store
from preflab.data.store.people import check_person
from preflab.data.store.schema import item, slot
from preflab.data.store.studies import Item, last_position, to_item
from preflab.errors import Conflict, LeaseLost, NotThere, StoreError

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Task:
    """A slot in somebody's hands."""

    slot: int
    lease: str
    """Proof that this person was handed this slot; ``submit`` wants it."""
    person: str
    item: Item
    number: int
    expires: int
    """Milliseconds since 1970; what comes later is kept and not counted."""
    filled: bool = False


def claim(
    store: Store, name: str, person: str, *, lease_ms: int = 1_800_000, gold_every: int = 0, repeat_every: int = 0
) -> Task | None:
    """The task the person has in hand, or else the next free slot of the study; None when nothing is left for them.

    Args:
        lease_ms      how long the slot is theirs. Somebody's own expired task is theirs again if nobody took it.
        gold_every    each so many-th task is a gold item that they have not seen; 0 for never.
        repeat_every  each so many-th task repeats one of theirs; 0 for when nothing else is left.

    Raises:
        NotThere: no such study, or no such person (any more).
        StoreError: the study is paused or closed.
    """
    pace = _Pace(lease_ms, gold_every, repeat_every)
    for attempt in range(_TRIES):
        try:
            with store.writing(durable=False) as connection:
                return _claim(connection, store, name, person, pace)
        except sa.exc.IntegrityError as error:  # the same person in two windows at once: one of them was first
            if attempt == _TRIES - 1:
                raise Conflict("your other windows take tasks at this moment; try again") from error
    raise AssertionError("unreachable")


def peek(store: Store, name: str, person: str) -> Item | None:
    """What the next free slot is about, beside the task in hand: nothing is taken, and somebody else may be faster."""
    with store.reading() as connection:
        row = connection.execute(
            queue_queries.next_slot(False), {"study": name, "who": person, "now": store.clock()}
        ).first()
    return None if row is None else _item(row)


@dataclass(frozen=True, slots=True)
class _Pace:
    """How long a task is reserved, and which tasks are gold items or repetitions (0: none)."""

    lease_ms: int
    gold_every: int
    repeat_every: int


def _claim(connection: Connection, store: Store, name: str, person: str, pace: _Pace) -> Task | None:
    about = {"study": name, "who": person, "now": store.clock()}
    in_hand = connection.execute(queue_queries.open_task(store.is_postgres), about).first()
    check_person(connection, person, exclusive=True)
    if (
        in_hand is None and store.is_postgres
    ):  # alone only now: at the last slot another window may have taken it meanwhile
        in_hand = connection.execute(queue_queries.open_task(True), about).first()
    if in_hand is not None:
        if in_hand.expires >= about["now"]:
            return _task(in_hand)
        return _take(connection, store, in_hand, about, pace.lease_ms)
    state = connection.scalar(queue_queries.STATE, about)
    if state is None:
        raise NotThere(f"no study {name!r}")
    if state != "open":
        raise StoreError(f"the study is {state}: no tasks are handed out now")
    row = None
    finished = connection.scalar(queue_queries.DONE, about) or 0 if pace.gold_every or pace.repeat_every else 0
    if pace.gold_every and (finished + 1) % pace.gold_every == 0:
        row = _next_gold(connection, about)
    if row is None and pace.repeat_every and (finished + 1) % pace.repeat_every == 0:
        row = connection.execute(queue_queries.next_repeat(store.is_postgres), about).first()
    if row is None:
        row = connection.execute(queue_queries.next_slot(store.is_postgres), about).first()
    return None if row is None else _take(connection, store, row, about, pace.lease_ms)


def _next_gold(connection: Connection, about: dict[str, Any]) -> Any:
    """A slot made for the person on a gold item that they have not seen; None when they have seen all."""
    gold = connection.execute(queue_queries.next_gold(), about).first()
    if gold is None:
        return None
    row = {"study": about["study"], "item": gold.id, "number": gold.number, "position": 0}
    slot_id = connection.execute(sa.insert(slot).values(**row).returning(slot.c.id)).scalar_one()
    return connection.execute(queue_queries.with_item().where(slot.c.id == slot_id)).one()


def _take(connection: Connection, store: Store, row: Any, about: dict[str, Any], lease_ms: int) -> Task:
    lease, until = _new_lease(store, row.id, about["who"]), about["now"] + lease_ms
    taken = {"which": row.id, "taker": about["who"], "proof": lease, "until": until}
    connection.execute(queue_queries.TAKE, taken)
    return Task(row.id, lease, about["who"], _item(row), row.number, until)


def _task(row: Any) -> Task:
    return Task(row.id, row.lease, row.holder, _item(row), row.number, row.expires, row.filled is not None)


def _item(row: Any) -> Item:
    return Item(row.item, row.study, row.name, row.purpose, json.loads(row.content), row.repeats)


def _new_lease(store: Store, slot_id: int, person: str) -> str:
    nonce = secrets.token_hex(6)
    return f"{nonce}-{_signature(store, slot_id, person, nonce)}"


def _signature(store: Store, slot_id: int, person: str, nonce: str) -> str:
    message = f"{slot_id} {person} {nonce}".encode()
    return hmac.new(store.secret("lease"), message, hashlib.sha256).hexdigest()[:24]


def is_lease(store: Store, lease: str, slot_id: int, person: str) -> bool:
    """Whether this person was once handed this slot under this lease, however long ago."""
    nonce, _, signature = lease.partition("-")
    return hmac.compare_digest(signature.encode(), _signature(store, slot_id, person, nonce).encode())


def task_of(store: Store, slot_id: int, person: str) -> Task:
    """A task that the person has in hand or has finished.

    Raises:
        NotThere: there is no such slot.
        LeaseLost: it is in other hands now.
    """
    with store.reading() as connection:
        row = connection.execute(queue_queries.with_item().where(slot.c.id == slot_id)).first()
        if row is None:
            raise NotThere(f"there is no task {slot_id}")
        if row.holder != person:
            raise LeaseLost("this task was handed to somebody else, because its time was over")
        return _task(row)


def item_of_slot(store: Store, name: str, slot_id: int) -> Item:
    """What a slot of a study is about, whoever holds it.

    Raises:
        NotThere: the study has no such slot.
    """
    query = sa.select(item).join(slot, slot.c.item == item.c.id).where(slot.c.id == slot_id, slot.c.study == name)
    with store.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise NotThere(f"study {name!r} has no task {slot_id}")
    return to_item(row)


def is_filled(store: Store, slot_id: int) -> bool:
    """Whether a slot has its judgement."""
    with store.reading() as connection:
        return connection.scalar(sa.select(slot.c.filled).where(slot.c.id == slot_id)) is not None


def lease_ends(connection: Connection, slots: Sequence[int]) -> dict[int, int]:
    """When the lease of each slot ends, in milliseconds."""
    query = sa.select(slot.c.id, slot.c.expires).where(slot.c.id.in_(slots))
    return {row[0]: row[1] for row in connection.execute(query)}


def renew(store: Store, task: Task, *, lease_ms: int) -> int:
    """Hold a task for longer; the new end in milliseconds.

    Raises:
        LeaseLost: somebody else has it, or it is finished.
    """
    until = store.clock() + lease_ms
    where = (slot.c.id == task.slot) & (slot.c.lease == task.lease) & slot.c.filled.is_(None)
    with store.writing(durable=False) as connection:
        if connection.execute(sa.update(slot).where(where).values(expires=until)).rowcount != 1:
            raise LeaseLost("this task is finished, or was handed to somebody else")
    return until


def release(store: Store, task: Task) -> bool:
    """Put a task back unjudged; False when it was no longer the person's.

    What is free of its item goes to the end of the queue: whoever skipped it is not handed it again at once.
    """
    where = (slot.c.id == task.slot) & (slot.c.lease == task.lease) & slot.c.filled.is_(None)
    with store.writing() as connection:
        freed = sa.update(slot).where(where).values(holder=None, lease=None, expires=0)
        if connection.execute(freed).rowcount != 1:
            return False
        end = last_position(connection, task.item.study, repeats=task.item.repeats is not None) + 1
        free = (slot.c.item == task.item.id) & slot.c.holder.is_(None)
        connection.execute(sa.update(slot).where(free).values(position=end + slot.c.number))
    return True


def open_slots(store: Store, name: str) -> dict[str, int]:
    """Main items of a study, by name, and how many of their slots still want a judgement."""
    open_count = sa.func.count() - sa.func.count(slot.c.filled)
    query = sa.select(item.c.name, open_count).join_from(slot, item, item.c.id == slot.c.item)
    query = query.where(slot.c.study == name, item.c.purpose == "main", item.c.repeats.is_(None)).group_by(item.c.name)
    with store.reading() as connection:
        return {item_name: int(count) for item_name, count in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is, in slots of its main items."""

    slots: int
    filled: int
    held: int
    """In somebody's hands now."""
    free: int


def progress(store: Store, name: str) -> Progress:
    """How far a study is. Gold, practice and repeats are not counted."""
    main = (slot.c.study == name) & (item.c.purpose == "main") & item.c.repeats.is_(None)
    held = slot.c.filled.is_(None) & slot.c.holder.is_not(None) & (slot.c.expires >= store.clock())
    count = sa.func.count
    query = sa.select(count(), count(slot.c.filled), count(sa.case((held, 1))))
    with store.reading() as connection:
        total, filled, busy = connection.execute(query.join_from(slot, item).where(main)).one()
    return Progress(total, filled, busy, total - filled - busy)
