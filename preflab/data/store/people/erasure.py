"""Erasing a person: what they wrote and judged goes, that they did and how often stays."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import log
from preflab.data.store.open import Store
from preflab.data.store.people.roles import check_other_owner
from preflab.data.store.schema import event, judgement, member, person, reply, slot, token, turn
from preflab.errors import NotThere


@dataclass(frozen=True, slots=True)
class Erased:
    """What went when a person was erased."""

    events: int
    judgements: int


def erase_person(store: Store, pseudonym: str, *, actor: str) -> Erased:
    """Erase all that somebody wrote and judged; that they did, and how often, stays.

    Name, password, tokens and the words of their conversations go. What their events said goes, under a
    ``person.erased`` event that names those events, so that the chain still holds. Their judgements are marked
    ``erased`` and leave every later export; slots they filled stay filled. What they did as an owner (studies, items,
    withdrawals with their reasons) stays, for it is the study's history.

    Raises:
        Conflict: the person is the last owner of the site.
        NotThere: there is nobody of that pseudonym.
    """
    with store.writing() as connection:
        held = (slot.c.holder == pseudonym) & slot.c.filled.is_(None)
        if not _lock_person(connection, pseudonym, held):
            return Erased(0, 0)
        check_other_owner(connection, pseudonym)
        kept_kinds = (
            "person.erased",
            "judgement.withdrawn",
            "study.created",
            "study.revised",
            "study.state",
            "items.added",
        )
        query = sa.select(event.c.seq).where(event.c.actor == pseudonym, event.c.kind.not_in(kept_kinds))
        seqs = [int(seq) for seq in connection.scalars(query.order_by(event.c.seq))]
        judged = sa.update(judgement).where(judgement.c.person == pseudonym).values(status="erased")
        count = int(connection.execute(judged).rowcount)
        log.erase_bodies(connection, seqs)
        turns = sa.select(turn.c.id).where(turn.c.person == pseudonym)
        silent: dict[str, Any] = {"text": "", "details": "{}", "error": None, "worker": None}
        silent["state"] = sa.case((reply.c.state == "done", "done"), else_="failed")  # whoever writes it must stop
        connection.execute(sa.update(reply).where(reply.c.turn.in_(turns)).values(**silent))
        connection.execute(sa.update(turn).where(turn.c.person == pseudonym).values(text="", edited=None))
        connection.execute(sa.update(slot).where(held).values(holder=None, lease=None, expires=0))
        connection.execute(sa.delete(token).where(token.c.person == pseudonym))
        connection.execute(sa.delete(member).where(member.c.person == pseudonym))
        gone = {"name": None, "password": None, "erased": store.clock()}
        connection.execute(sa.update(person).where(person.c.id == pseudonym).values(**gone))
        payload = {"person": pseudonym, "events": seqs, "judgements": count}
        log.append(connection, store, "person.erased", payload, actor=actor)
    return Erased(len(seqs), count)


def _lock_person(connection: Connection, pseudonym: str, held: sa.ColumnElement[bool]) -> bool:
    """Wait for what the person does at this moment, and let nothing new begin; False if erased before.

    Slots first, then the person: the order in which a judgement is handed in.
    """
    query = sa.select(person.c.erased).where(person.c.id == pseudonym)
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(slot.c.id).where(held).with_for_update())
        query = query.with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise NotThere(f"there is nobody of the pseudonym {pseudonym!r}")
    return row.erased is None
