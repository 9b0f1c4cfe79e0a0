"""The log: every judgement and every act of an owner, each line's hash covering the line before.

Nothing in it is changed or deleted. A correction is a new event that names the old one. What an event says lies
beside it under a salted hash, so that a person's words can be erased and the chain still holds: an erased body is
sound only if a later ``person.erased`` event names it.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store.open import Store
from preflab.data.store.schema import body, event
from preflab.errors import StoreError

START = "0" * 64
"""What the first event follows."""
SERVER = "server"
"""The actor where no person acted."""
_LAST = sa.select(event.c.seq, event.c.hash).order_by(event.c.seq.desc()).limit(1)
_ADD_EVENT, _ADD_BODY = sa.insert(event), sa.insert(body)  # built once: that takes longer than running them
_APPEND_LOCK = 0x6C6F_6731  # PostgreSQL: one appends at a time


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log."""

    seq: int
    at: int
    """Milliseconds since 1970, UTC."""
    kind: str
    study: str | None
    actor: str
    body: dict[str, Any] | None
    """What it says; None once erased."""


def canonical(value: Any) -> str:
    """JSON in the one form that hashes are taken of: sorted keys, no spaces, ASCII.

    ASCII, because then every text that reaches us can be kept: PostgreSQL refuses NUL, and UTF-8 half a surrogate.

    Raises:
        StoreError: it is no JSON: NaN, infinity, or something that is neither text, number, list nor mapping.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError) as error:
        raise StoreError(f"this cannot be kept as JSON: {error}") from error


def sha256(text: str) -> str:
    """Hexadecimal digest of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def append(
    connection: Connection,
    store: Store,
    kind: str,
    payload: dict[str, Any],
    *,
    actor: str,
    study: str | None = None,
    at: int | None = None,
) -> int:
    """Add an event in the caller's transaction and return its number.

    Everything that the event reports must be written in the same transaction: both are kept or neither.

    Args:
        at: when it happened, where the caller writes that down elsewhere too; else now.
    """
    if store.is_postgres:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPEND_LOCK})
    last = connection.execute(_LAST).first()
    seq, previous = (1, START) if last is None else (last.seq + 1, last.hash)
    text, salt = canonical(payload), secrets.token_hex(16)
    row = {"seq": seq, "at": store.clock() if at is None else at, "kind": kind, "study": study, "actor": actor}
    row |= {"body_hash": sha256(salt + text), "previous": previous}
    connection.execute(_ADD_EVENT, row | {"hash": _hash(row)})
    connection.execute(_ADD_BODY, {"seq": seq, "salt": salt, "body": text})
    return int(seq)


def _hash(row: dict[str, Any]) -> str:
    return sha256(canonical([row[name] for name in ("seq", "at", "kind", "study", "actor", "body_hash", "previous")]))


def events(
    connection: Connection, *, study: str | None = None, kind: str | None = None, up_to: int | None = None
) -> Iterator[Event]:
    """Events in order, of one study or kind where named, up to and with ``up_to``."""
    query = sa.select(event, body.c.body).join(body, body.c.seq == event.c.seq, isouter=True).order_by(event.c.seq)
    if study is not None:
        query = query.where(event.c.study == study)
    if kind is not None:
        query = query.where(event.c.kind == kind)
    if up_to is not None:
        query = query.where(event.c.seq <= up_to)
    for row in connection.execute(query).yield_per(1000):
        payload = None if row.body is None else json.loads(row.body)
        yield Event(row.seq, row.at, row.kind, row.study, row.actor, payload)


def head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last event; ``(0, START)`` of an empty log."""
    last = connection.execute(_LAST).first()
    return (0, START) if last is None else (int(last.seq), str(last.hash))


@dataclass(frozen=True, slots=True)
class Verification:
    """What a reading of the whole log found."""

    events: int
    head: str
    """Hash of the last event. Note it elsewhere: it is what a cut or rewritten log cannot give again."""
    erased: int
    """Bodies that are gone because a person asked for it."""
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


def verify_chain(connection: Connection, *, expect: tuple[int, str] | None = None) -> Verification:
    """Read the whole log and recompute every hash.

    Args:
        expect: number and hash of an event as noted earlier (every export notes its own), which must still be there.
            Without it, a log cut at its end or written anew from some point on cannot be told from a sound one.
    """
    problems: list[str] = []
    previous, last, missing, hashes = START, 0, list[int](), dict[int, str]()
    gone: set[int] = set()
    query = sa.select(event, body.c.salt, body.c.body).join(body, body.c.seq == event.c.seq, isouter=True)
    for row in connection.execute(query.order_by(event.c.seq)).yield_per(1000):
        problems += _faults(row, last, previous)
        if row.body is None:
            missing.append(row.seq)
        elif row.kind == "person.erased":
            gone.update(seq for seq in _erased_by(row.body) if seq < row.seq)
        last, previous = row.seq, row.hash
        if expect is not None and row.seq == expect[0]:
            hashes[row.seq] = row.hash
    unexplained = [seq for seq in missing if seq not in gone]
    problems += [f"event {seq}: what it said is missing, and no erasure names it" for seq in unexplained]
    if expect is not None and hashes.get(expect[0]) != expect[1]:
        state = "is not there" if expect[0] not in hashes else f"has hash {hashes[expect[0]]}"
        problems.append(f"event {expect[0]} should have hash {expect[1]}, but {state}")
    orphans = sa.select(body.c.seq).where(body.c.seq.not_in(sa.select(event.c.seq)))
    problems += [f"event {seq}: a text without its event" for (seq,) in connection.execute(orphans)]
    return Verification(last, previous, len(missing) - len(unexplained), tuple(problems))


def _faults(row: Any, last: int, previous: str) -> list[str]:
    """What is wrong with one line, given the line before."""
    faults = []
    if row.seq != last + 1:
        faults.append(f"event {row.seq}: follows event {last}; {row.seq - last - 1} are missing")
    if row.previous != previous:
        faults.append(f"event {row.seq}: does not follow the event before it")
    if row.hash != _hash(row._asdict()):
        faults.append(f"event {row.seq}: was changed (its hash is not that of what it holds)")
    if row.body is not None and row.body_hash != sha256(row.salt + row.body):
        faults.append(f"event {row.seq}: its text was changed")
    return faults


def _erased_by(text: str) -> list[int]:
    try:
        return [int(seq) for seq in json.loads(text).get("events", [])]
    except (ValueError, AttributeError, TypeError):
        return []  # its text was changed, which is reported


def erase_bodies(connection: Connection, seqs: list[int]) -> int:
    """Delete what events say; the caller appends the ``person.erased`` event that names them. Returns how many."""
    gone = 0
    for start in range(0, len(seqs), 500):
        some = sa.delete(body).where(body.c.seq.in_(seqs[start : start + 500]))
        gone += int(connection.execute(some).rowcount)
    return gone
