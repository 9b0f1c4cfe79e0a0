"""Handing in, correcting and taking back judgements. Each is an event of the log; none is overwritten."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import integrity, log, people
from preflab.data.store.open import Store
from preflab.data.store.queue import is_lease
from preflab.data.store.schema import body, item, judgement, slot
from preflab.errors import Conflict, LeaseLost, NotThere, StoreError

# built once, for that takes longer than running them
_SLOT = sa.select(slot).where(slot.c.id == sa.bindparam("which"), slot.c.study == sa.bindparam("of"))
_NAME = sa.select(item.c.name).where(item.c.id == sa.bindparam("of"))
_ADD = sa.insert(judgement)
_BY_KEY = (
    sa.select(judgement.c.seq, judgement.c.person, judgement.c.status, body.c.body)
    .join(body, body.c.seq == judgement.c.seq, isouter=True)
    .where(judgement.c.key == sa.bindparam("sent"))
)
Status = Literal["counted", "late", "superseded", "withdrawn", "practice", "erased"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of something handed in."""

    seq: int
    """Number of its event: it is in the log, whatever happens now."""
    status: Status
    again: bool
    """Whether it had arrived before, under the same key, and this was a retry."""


@dataclass(frozen=True, slots=True)
class _Submission:
    """Who hands in what, under which key."""

    person: str
    key: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement as it stands."""

    seq: int
    study: str
    item: int
    item_name: str
    slot: int | None
    part: int
    person: str
    status: Status
    supersedes: int | None
    at: int
    payload: dict[str, Any] | None
    """All that was recorded; None once erased."""


def submit(
    store: Store,
    *,
    study: str,
    slot_id: int,
    lease: str,
    person: str,
    key: str,
    payload: Mapping[str, Any],
    part: int = 0,
    completes: bool = True,
    within: Callable[[Connection], None] | None = None,
) -> Receipt:
    """Hand in a judgement.

    Handing in the same key again gives the first receipt and changes nothing. After the lease has ended the judgement
    is kept, marked ``late``, and does not count.

    Args:
        key        made by the page, once for each form it shows.
        payload    the judgement with all that is needed to understand it: what was shown in which order, the answer,
                   seconds, policies and their versions, decoding, the study's revision. JSON.
        part       the turn of a conversation; 0 elsewhere.
        completes  whether the slot is filled by it.
        within     more to be done in the same transaction, if it is new (move a conversation on).

    Raises:
        Conflict: the key was used for another answer, or this part of the slot is judged already.
        LeaseLost: the lease was never this person's.
        NotThere: there is no such slot.
    """

    submission = _Submission(person, key, payload)

    def work(connection: Connection) -> Receipt:
        task = _slot(connection, slot_id, study)
        before = _by_key(connection, submission)  # only now: who holds the slot's lock may have handed it in
        if before is not None:
            return before
        if not is_lease(store, lease, slot_id, person):
            raise LeaseLost("this task was never handed to you; open the study again")
        held = task.lease == lease and task.filled is None
        status: Status = "counted" if held and task.expires >= store.clock() else "late"
        if task.filled is not None and task.lease == lease:
            raise Conflict("this task is finished; change it in your history")
        row = {"slot": slot_id, "item": task.item, "part": part, "completes": int(completes)}
        seq = _record(connection, store, study, submission, status, row)
        if completes and held:
            free = {"filled": seq} if status == "counted" else {"holder": None, "lease": None, "expires": 0}
            connection.execute(sa.update(slot).where(slot.c.id == slot_id).values(**free))
        if within is not None:
            within(connection)
        return Receipt(seq, status, again=False)

    return _once(store, submission, work)


def _once(store: Store, submission: _Submission, work: Callable[[Connection], Receipt]) -> Receipt:
    """Do something in one transaction; where another of the same key was a moment faster, give its receipt."""
    try:
        with store.writing() as connection:
            return work(connection)
    except sa.exc.IntegrityError as error:
        with store.reading() as connection:
            before = _by_key(connection, submission)
        if before is not None:
            return before
        raise Conflict("this part of the task is judged already") from error


def submit_practice(
    store: Store, *, study: str, item_id: int, person: str, key: str, payload: Mapping[str, Any]
) -> Receipt:
    """Keep an answer to a practice item: no slot, never counted.

    Raises:
        Conflict: the key was used for another answer.
        NotThere: there is no such person.
    """

    submission = _Submission(person, key, payload)

    def work(connection: Connection) -> Receipt:
        before = _by_key(connection, submission)
        if before is not None:
            return before
        row = {"slot": None, "item": item_id, "part": 0, "completes": 0}
        seq = _record(connection, store, study, submission, "practice", row)
        return Receipt(seq, "practice", again=False)

    return _once(store, submission, work)


def correct(store: Store, *, seq: int, person: str, key: str, payload: Mapping[str, Any]) -> Receipt:
    """Put another judgement in the place of one's own while the lease runs; both stay in the log.

    Raises:
        Conflict: it was superseded or withdrawn already, or the key was used for another answer.
        LeaseLost: the lease has ended.
        NotThere: this person made no such judgement.
    """

    submission = _Submission(person, key, payload)

    def work(connection: Connection) -> Receipt:
        old = _locked(connection, seq)
        before = _by_key(connection, submission)
        if before is not None:
            return before
        _may_change(store, old, seq, person)
        connection.execute(sa.update(judgement).where(judgement.c.seq == seq).values(status="superseded"))
        row = {"slot": old.slot, "item": old.item, "part": old.part, "completes": old.completes, "supersedes": seq}
        new = _record(connection, store, old.study, submission, "counted", row)
        if old.completes:
            connection.execute(sa.update(slot).where(slot.c.id == old.slot).values(filled=new))
        return Receipt(new, "counted", again=False)

    return _once(store, submission, work)


def withdraw(store: Store, *, seq: int, person: str) -> None:
    """Take back one's own finished judgement while the lease runs; the task is in the person's hands again.

    A task that they have in hand meanwhile goes back to the queue.

    Raises:
        Conflict: it was superseded or withdrawn already.
        LeaseLost: the lease has ended.
        NotThere: this person made no such judgement.
    """
    try:
        with store.writing() as connection:
            old = _locked(connection, seq)
            _may_change(store, old, seq, person)
            if old.completes:
                other = (slot.c.study == old.study) & (slot.c.holder == person) & slot.c.filled.is_(None)
                connection.execute(sa.update(slot).where(other).values(holder=None, lease=None, expires=0))
                connection.execute(sa.update(slot).where(slot.c.id == old.slot).values(filled=None))
            _withdrawn(connection, store, old, actor=person, reason="undone by the annotator")
    except sa.exc.IntegrityError as error:
        raise Conflict("you took another task at the same moment; try again") from error


def discard(store: Store, *, seq: int, actor: str, reason: str) -> None:
    """An owner takes a judgement out of the count; its slot is free for somebody else.

    Raises:
        Conflict: it does not count anyway.
        NotThere: there is no such judgement.
    """
    with store.writing() as connection:
        old = _locked(connection, seq)
        if old is None:
            raise NotThere(f"there is no judgement {seq}")
        if old.status != "counted":
            raise Conflict(f"judgement {seq} does not count: it is {old.status}")
        if old.completes:
            free = {"filled": None, "holder": None, "lease": None, "expires": 0}
            connection.execute(sa.update(slot).where(slot.c.id == old.slot).values(**free))
        _withdrawn(connection, store, old, actor=actor, reason=reason)


def _withdrawn(connection: Connection, store: Store, old: Any, *, actor: str, reason: str) -> None:
    where = (judgement.c.seq == old.seq) & (judgement.c.status == "counted")
    if connection.execute(sa.update(judgement).where(where).values(status="withdrawn")).rowcount != 1:
        raise Conflict(f"judgement {old.seq} was erased at this moment")
    payload = {"judgement": old.seq, "reason": reason}
    log.append(connection, store, "judgement.withdrawn", payload, actor=actor, study=old.study)


def _locked(connection: Connection, seq: int) -> Any:
    """A judgement with its slot, which nobody else changes while this transaction lasts; None if there is none."""
    if connection.dialect.name == "postgresql":
        of = sa.select(judgement.c.slot).where(judgement.c.seq == seq).scalar_subquery()
        connection.execute(sa.select(slot.c.id).where(slot.c.id == of).with_for_update())
    query = sa.select(judgement, slot.c.expires, slot.c.holder).join(slot, slot.c.id == judgement.c.slot, isouter=True)
    return connection.execute(query.where(judgement.c.seq == seq)).first()


def _may_change(store: Store, old: Any, seq: int, person: str) -> None:
    """Complain unless it is one's own judgement that counts, of a task that is one's own while the lease runs."""
    if old is None or old.person != person or old.slot is None:
        raise NotThere(f"you made no judgement {seq}")
    if old.status != "counted":
        raise Conflict(f"this judgement is {old.status} already")
    if old.holder != person or old.expires < store.clock():
        raise LeaseLost("the time to change this judgement is over")


def _slot(connection: Connection, slot_id: int, study: str) -> Any:
    query = _SLOT.with_for_update() if connection.dialect.name == "postgresql" else _SLOT
    row = connection.execute(query, {"which": slot_id, "of": study}).first()
    if row is None:
        raise NotThere(f"study {study!r} has no task {slot_id}")
    return row


def _by_key(connection: Connection, submission: _Submission) -> Receipt | None:
    """The receipt of what was handed in under this key before."""
    if not 8 <= len(submission.key) <= 80:
        raise StoreError(f"an idempotency key has 8 to 80 characters, got {len(submission.key)}")
    row = connection.execute(_BY_KEY, {"sent": submission.key}).first()
    if row is None:
        return None
    stored = None if row.body is None else json.loads(row.body)
    if row.person != submission.person or (
        stored is not None and stored.get("answer") != _plain(submission.payload).get("answer")
    ):
        raise Conflict("this form was sent before with another answer; change it in your history")
    return Receipt(row.seq, row.status, again=True)


def _plain(payload: Mapping[str, Any]) -> dict[str, Any]:
    """As it will come back from the log: tuples are lists there."""
    plain: dict[str, Any] = json.loads(log.canonical(dict(payload)))
    return plain


def _record(
    connection: Connection,
    store: Store,
    study: str,
    submission: _Submission,
    status: Status,
    row: dict[str, Any],
) -> int:
    person, key = submission.person, submission.key
    people.check_person(connection, person)
    name = connection.scalar(_NAME, {"of": row["item"]})
    context = {"item": row["item"], "item_name": name, "slot": row["slot"], "part": row["part"]}
    context |= {"completes": row["completes"], "supersedes": row.get("supersedes"), "status": status, "key": key}
    event_body = dict(submission.payload) | {"place": context}
    at = store.clock()
    seq = log.append(connection, store, "judgement", event_body, actor=person, study=study, at=at)
    row = row | {"study": study, "person": person, "key": key, "status": status, "seq": seq, "at": at}
    connection.execute(_ADD, {"supersedes": None} | row)
    return seq


def judgements_of(
    connection: Connection,
    study: str,
    *,
    person: str | None = None,
    statuses: Sequence[Status] | None = None,
    up_to: int | None = None,
) -> Iterator[Judgement]:
    """The judgements of a study in the order they came, as they stand now (``up_to``: only events up to that one)."""
    query = sa.select(judgement, item.c.name.label("item_name"), body.c.body).join(item, item.c.id == judgement.c.item)
    query = query.join(body, body.c.seq == judgement.c.seq, isouter=True).where(judgement.c.study == study)
    if person is not None:
        query = query.where(judgement.c.person == person)
    if statuses is not None:
        query = query.where(judgement.c.status.in_(statuses))
    if up_to is not None:
        query = query.where(judgement.c.seq <= up_to)
    for row in connection.execute(query.order_by(judgement.c.seq)).yield_per(500):
        identity = (row.seq, row.study, row.item, row.item_name, row.slot, row.part, row.person)
        payload = None if row.body is None else json.loads(row.body)
        yield Judgement(*identity, row.status, row.supersedes, row.at, payload)


def counts(store: Store, study: str) -> dict[str, int]:
    """How many judgements there are of each status."""
    query = sa.select(judgement.c.status, sa.func.count()).where(judgement.c.study == study)
    with store.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(judgement.c.status))}


def statuses_from_log(connection: Connection, *, up_to: int | None = None) -> dict[int, Status]:
    """The status of every judgement as the log alone tells it: what the table must say, and what it said earlier."""
    statuses: dict[int, Status] = {}
    for happened in log.events(connection, up_to=up_to):
        payload = happened.body or {}
        if happened.kind == "judgement":
            context = payload.get("place", {"status": "erased"})
            statuses[happened.seq] = context["status"]
            if context.get("supersedes") is not None:
                statuses[context["supersedes"]] = "superseded"
        elif happened.kind == "judgement.withdrawn":
            statuses[payload["judgement"]] = "withdrawn"
        elif happened.kind == "person.erased":
            statuses |= {seq: "erased" for seq in payload["events"] if seq in statuses}
    return statuses


def verify(store: Store, *, expect: tuple[int, str] | None = None) -> log.Verification:
    """Read the whole log, recompute every hash, and hold the tables against it.

    Covered is what the log speaks of: judgements, slots, items, studies and their definitions.
    """
    with store.reading() as connection:
        chain = log.verify_chain(connection, expect=expect)
        if not chain.ok:
            return chain
        problems = [
            *integrity.judgement_faults(connection, statuses_from_log(connection)),
            *integrity.slot_faults(connection),
            *integrity.item_faults(connection),
            *integrity.study_faults(connection),
        ]
    return log.Verification(chain.events, chain.head, chain.erased, tuple(problems))
