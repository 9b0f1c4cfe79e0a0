"""Conversations under way: what the annotator writes, what the policies answer, and which answer it goes on from.

Pages write turns; workers take the replies that are wanted, write them down as they grow, and finish or fail them. A
worker holds a reply under a lease, so that another takes over when it dies. A turn is in the database before the page
says so: no policy that is slow or dead can lose it.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.dialogue import Dialogue, Message
from preflab.data.store.log import canonical
from preflab.data.store.open import Store
from preflab.data.store.schema import item, reply, slot, turn
from preflab.errors import Conflict, LeaseLost, NotThere

_UNKEPT = re.compile("[\0\ud800-\udfff]")
ReplyState = Literal["waiting", "writing", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What one policy says to one turn, finished or not."""

    id: int
    number: int
    """Its number among the replies of the turn; which side it is shown on is decided elsewhere."""
    policy: str
    """Never for the annotator's eyes."""
    state: ReplyState
    text: str
    error: str | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the annotator and the replies to it."""

    id: int
    number: int
    text: str
    fresh: bool
    chosen: int | None
    edited: str | None
    at: int
    replies: tuple[Reply, ...]

    @property
    def ready(self) -> bool:
        """Whether every reply is there."""
        return all(answer.state == "done" for answer in self.replies)

    @property
    def outcome(self) -> str | None:
        """The text the conversation goes on from; None while nothing is chosen."""
        return None if self.chosen is None else self.edited or self.replies[self.chosen].text


class Job(NamedTuple):
    """A reply that is wanted."""

    reply: int
    turn: int
    study: str
    policy: str
    dialogue: Dialogue
    """Ends with the annotator's message."""
    seed: int
    tries: int


def begin_turn(
    store: Store,
    *,
    slot_id: int,
    lease: str,
    person: str,
    text: str,
    key: str,
    policies: Sequence[str],
    fresh: bool = False,
) -> int:
    """Keep what the annotator wrote and ask each policy for a reply; the turn's number.

    The same key again gives the same turn.

    Args:
        policies: who answers, by place; one may stand there twice.
        fresh: the policies see nothing of the conversation before this message (papers/12: reset).

    Raises:
        Conflict: the turn before is still without a choice.
        LeaseLost: the task is not in this person's hands any more.
    """
    with store.writing() as connection:
        query_slot = sa.select(slot).where(slot.c.id == slot_id)
        held = connection.execute(query_slot.with_for_update() if store.is_postgres else query_slot).first()
        query = sa.select(turn.c.slot, turn.c.person, turn.c.number).where(turn.c.key == key)
        before = connection.execute(query).first()  # only now: who holds the slot's lock may have sent it
        if before is not None:
            if (before.slot, before.person) != (slot_id, person):
                raise Conflict("this message was sent before, in another conversation")
            return int(before.number)
        if held is None or held.lease != lease or held.holder != person or held.filled is not None:
            raise LeaseLost("this conversation is finished, or its time was over and it was handed to somebody else")
        of_conversation = (turn.c.slot == slot_id) & (turn.c.person == person)
        last = connection.execute(
            sa.select(turn).where(of_conversation).order_by(turn.c.number.desc()).limit(1)
        ).first()
        if last is not None and last.chosen is None:
            raise Conflict("choose one of the replies first; then the conversation goes on")
        number = 0 if last is None else last.number + 1
        row = {"slot": slot_id, "person": person, "number": number, "text": storable(text), "key": key}
        row |= {"fresh": int(fresh), "at": store.clock()}
        turn_id = connection.execute(sa.insert(turn).values(**row).returning(turn.c.id)).scalar_one()
        replies = [{"turn": turn_id, "place": n, "policy": name, "state": "waiting"} for n, name in enumerate(policies)]
        connection.execute(sa.insert(reply), replies)
    return number


def storable(text: str) -> str:
    """A text with what no database keeps (NUL, half a surrogate) as the sign for an unknown character."""
    return _UNKEPT.sub("\ufffd", text)


def turns(store: Store, slot_id: int, person: str) -> list[Turn]:
    """A conversation so far."""
    with store.reading() as connection:
        return _turns(connection, slot_id, person)


def _turns(connection: Connection, slot_id: int, person: str) -> list[Turn]:
    of_conversation = (turn.c.slot == slot_id) & (turn.c.person == person)
    rows = connection.execute(sa.select(turn).where(of_conversation).order_by(turn.c.number)).all()
    of_turns = reply.c.turn.in_([row.id for row in rows])
    replies: dict[int, list[Reply]] = {row.id: [] for row in rows}
    for row in connection.execute(sa.select(reply).where(of_turns).order_by(reply.c.turn, reply.c.place)):
        details = json.loads(row.details)
        replies[row.turn].append(Reply(row.id, row.place, row.policy, row.state, row.text, row.error, details))
    return [Turn(r.id, r.number, r.text, bool(r.fresh), r.chosen, r.edited, r.at, tuple(replies[r.id])) for r in rows]


def choose(connection: Connection, turn_id: int, number: int, *, edited: str | None = None) -> None:
    """Go on from one of the replies, in the caller's transaction.

    Raises:
        Conflict: one was chosen already.
        NotThere: there is no such reply, or it is not finished.
    """
    finished = sa.select(reply.c.id).where(reply.c.turn == turn_id, reply.c.place == number, reply.c.state == "done")
    if connection.scalar(finished) is None:
        raise NotThere(f"there is no finished reply {number} to go on from")
    open_ = (turn.c.id == turn_id) & turn.c.chosen.is_(None)
    better = None if edited is None else storable(edited)
    if connection.execute(sa.update(turn).where(open_).values(chosen=number, edited=better)).rowcount != 1:
        raise Conflict("a reply of this turn was chosen already")


def retry_failed_replies(store: Store, slot_id: int, person: str) -> int:
    """Ask once more for the replies that failed; how many."""
    turn_ids = sa.select(turn.c.id).where(turn.c.slot == slot_id, turn.c.person == person)
    failed = reply.c.turn.in_(turn_ids) & (reply.c.state == "failed")
    anew = {"state": "waiting", "error": None, "worker": None, "expires": 0, "tries": 0, "text": ""}
    with store.writing() as connection:
        return int(connection.execute(sa.update(reply).where(failed).values(**anew)).rowcount)


def take_job(
    store: Store, worker: str, *, policies: Collection[tuple[str, str]] | None = None, lease_ms: int = 30_000
) -> Job | None:
    """The reply that has waited longest, now this worker's; None when none is wanted.

    Args:
        policies: (study, policy) that the worker can serve; None for all.
    """
    now = store.clock()
    query = sa.select(reply, slot.c.study, slot.c.id.label("slot_id"), turn.c.person, item.c.content)
    query = query.join(turn, turn.c.id == reply.c.turn).join(slot, slot.c.id == turn.c.slot)
    query = query.join(item, item.c.id == slot.c.item)
    query = query.where(reply.c.state.in_(("waiting", "writing")), reply.c.expires < now)
    if policies is not None:
        query = query.where(sa.tuple_(slot.c.study, reply.c.policy).in_(list(policies)))
    query = query.order_by(reply.c.expires, reply.c.id).limit(1)
    with store.reading() as connection:  # an idle worker asks often: do not make it the only writer for that
        if connection.execute(query).first() is None:
            return None
    if store.is_postgres:
        query = query.with_for_update(skip_locked=True, of=reply)
    with store.writing(durable=False) as connection:  # lost at a power cut, the job is taken once more
        row = connection.execute(query).first()
        if row is None:
            return None
        taken = {"worker": worker, "state": "writing", "expires": now + lease_ms, "tries": row.tries + 1, "text": ""}
        connection.execute(sa.update(reply).where(reply.c.id == row.id).values(**taken))
        dialogue = _dialogue(json.loads(row.content), _turns(connection, row.slot_id, row.person), row.turn)
    seed = row.id  # of the reply, not of the try: asked again, a policy that draws says the same
    return Job(row.id, row.turn, row.study, row.policy, dialogue, seed, row.tries + 1)


def _dialogue(content: Mapping[str, Any], so_far: Sequence[Turn], up_to: int) -> Dialogue:
    """What the policy answers to: what the item opens with, and the turns up to the one that waits.

    ``messages`` of the item come first; ``lead``, a passage, stands before the annotator's first words.
    """
    opening = Dialogue.from_json(content["messages"]).messages if content.get("messages") else ()
    messages: list[Message] = []
    for past in so_far:
        if past.number == 0 or past.fresh:
            messages = list(opening)
        lead = f"{content['lead']}\n\n" if content.get("lead") and len(messages) == len(opening) else ""
        messages.append(Message("user", lead + past.text))
        if past.id == up_to:
            break
        messages.append(Message("assistant", past.outcome or ""))
    return Dialogue(tuple(messages))


def _held(reply_id: int, worker: str) -> sa.ColumnElement[bool]:
    return (reply.c.id == reply_id) & (reply.c.worker == worker) & (reply.c.state == "writing")


def _write(store: Store, reply_id: int, worker: str, *, durable: bool = True, **values: Any) -> bool:
    with store.writing(durable=durable) as connection:
        return connection.execute(sa.update(reply).where(_held(reply_id, worker)).values(**values)).rowcount == 1


def write_partial(store: Store, reply_id: int, worker: str, text: str, *, lease_ms: int = 30_000) -> bool:
    """Show what there is so far and hold the reply for longer; False when another worker has taken it over."""
    until = store.clock() + lease_ms
    return _write(store, reply_id, worker, durable=False, text=storable(text), expires=until)


def hold_reply(store: Store, reply_id: int, worker: str, *, lease_ms: int = 30_000) -> bool:
    """Hold the reply for longer; False when another worker has taken it over."""
    return _write(store, reply_id, worker, durable=False, expires=store.clock() + lease_ms)


def finish_reply(store: Store, reply_id: int, worker: str, text: str, details: Mapping[str, Any]) -> bool:
    """The reply is whole; False when another worker has taken it over."""
    plain = canonical(dict(details))
    return _write(store, reply_id, worker, text=storable(text), details=plain, state="done", error=None)


def fail_reply(store: Store, reply_id: int, worker: str, error: str, *, again_after_ms: int | None) -> bool:
    """No reply came. With ``again_after_ms`` it is tried again then; without, when the annotator asks.

    Args:
        error: for the owner. Annotators are told no more than that there is no answer.
    """
    if again_after_ms is None:
        return _write(store, reply_id, worker, state="failed", error=storable(error))
    until = store.clock() + again_after_ms
    return _write(store, reply_id, worker, state="waiting", error=storable(error), expires=until)


class PolicyState(NamedTuple):
    """How a policy of a study has been doing."""

    policy: str
    finished: int
    waiting: int
    failed: int
    """Replies that did not come, and that nobody has asked for again."""
    error: str
    """What went wrong last, for the owner; empty when nothing did."""


def policy_states(store: Store, study: str) -> list[PolicyState]:
    """Every policy that was ever asked in a study, by name."""
    state = reply.c.state
    counts = [
        sa.func.count(sa.case((state.in_(kinds), 1))) for kinds in (("done",), ("waiting", "writing"), ("failed",))
    ]
    query = (
        sa.select(reply.c.policy, *counts).join(turn, turn.c.id == reply.c.turn).join(slot, slot.c.id == turn.c.slot)
    )
    last = sa.select(reply.c.policy, reply.c.error).join(turn, turn.c.id == reply.c.turn)
    last = last.join(slot, slot.c.id == turn.c.slot).where(slot.c.study == study, reply.c.error.is_not(None))
    with store.reading() as connection:
        rows = connection.execute(
            query.where(slot.c.study == study).group_by(reply.c.policy).order_by(reply.c.policy)
        ).all()
        errors = {row.policy: row.error for row in connection.execute(last.order_by(reply.c.id))}
    return [
        PolicyState(name, finished, waiting, failed, errors.get(name, "")) for name, finished, waiting, failed in rows
    ]


def turn_of(store: Store, slot_id: int, person: str, number: int) -> Turn:
    """One turn of a conversation.

    Raises:
        NotThere: there is none of that number.
    """
    for candidate in turns(store, slot_id, person):
        if candidate.number == number:
            return candidate
    raise NotThere(f"this conversation has no turn {number}")
