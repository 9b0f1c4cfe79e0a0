"""What people may do: their roles in studies, their consent, and whether they still take part."""

from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import log
from preflab.data.store.open import Store
from preflab.data.store.schema import member, slot
from preflab.errors import Conflict, StoreError

Role = Literal["annotator", "reviewer", "owner"]
RANK: dict[str, int] = {"annotator": 1, "reviewer": 2, "owner": 3}
"""Who may do more; a reviewer sees results and hands nothing out, an owner may do everything."""
EVERY = "*"
"""In the place of a study: all of them, also those to come."""


@dataclass(frozen=True, slots=True)
class Member:
    """What somebody may do in a study."""

    person: str
    study: str
    role: Role
    consented: int | None
    opted_out: int | None


def grant(store: Store, pseudonym: str, study: str, role: Role, *, actor: str = log.SERVER) -> None:
    """Let somebody be owner, reviewer or annotator of a study (``*`` for all)."""
    with store.writing() as connection:
        put_role(connection, store, pseudonym, study, role, actor)


def put_role(connection: Connection, store: Store, pseudonym: str, study: str, role: Role, actor: str) -> None:
    """``grant`` within a transaction.

    Raises:
        Conflict: the site would lose its last owner.
        StoreError: there is no such role.
    """
    if role not in get_args(Role):
        raise StoreError(f"a role is one of {', '.join(get_args(Role))}, got {role!r}")
    if study == EVERY and role != "owner":
        check_other_owner(connection, pseudonym)
    new = store.insert(member).values(person=pseudonym, study=study, role=role)
    connection.execute(new.on_conflict_do_update(index_elements=["person", "study"], set_={"role": role}))
    log.append(connection, store, "role.granted", {"person": pseudonym, "role": role}, actor=actor, study=study)


def role_in(store: Store, pseudonym: str, study: str) -> Role | None:
    """The highest role of somebody in a study; None for a stranger."""
    query = sa.select(member.c.role).where(member.c.person == pseudonym, member.c.study.in_((study, EVERY)))
    with store.reading() as connection:
        roles = list(connection.scalars(query))
    return max(roles, key=RANK.__getitem__, default=None)


def members_of(store: Store, study: str) -> list[Member]:
    """Everybody in a study."""
    with store.reading() as connection:
        rows = connection.execute(sa.select(member).where(member.c.study == study).order_by(member.c.person))
        return [Member(*row) for row in rows]


def memberships(store: Store, pseudonym: str) -> list[Member]:
    """All that somebody is a member of."""
    with store.reading() as connection:
        rows = connection.execute(sa.select(member).where(member.c.person == pseudonym).order_by(member.c.study))
        return [Member(*row) for row in rows]


def remove_member(store: Store, pseudonym: str, study: str, *, actor: str) -> None:
    """Take a role away and put the task in hand back. What the person judged stays.

    Raises:
        Conflict: nobody would be left who owns the site.
    """
    with store.writing() as connection:
        if study == EVERY:
            check_other_owner(connection, pseudonym)
        held = (slot.c.study == study) & (slot.c.holder == pseudonym) & slot.c.filled.is_(None)
        connection.execute(sa.update(slot).where(held).values(holder=None, lease=None, expires=0))
        gone = sa.delete(member).where(member.c.person == pseudonym, member.c.study == study)
        if connection.execute(gone).rowcount:
            log.append(connection, store, "role.removed", {"person": pseudonym}, actor=actor, study=study)


def check_other_owner(connection: Connection, pseudonym: str) -> None:
    """The site keeps an owner when this person stops being one.

    Raises:
        Conflict: nobody else owns it.
    """
    owners = set(
        connection.scalars(sa.select(member.c.person).where(member.c.study == EVERY, member.c.role == "owner"))
    )
    if owners == {pseudonym}:
        raise Conflict("this is the last owner of the site; make somebody else an owner first")


def consent(store: Store, pseudonym: str, study: str, revision: int, text: str) -> None:
    """Keep that somebody agreed to the consent text of a revision; the text itself goes into the log."""
    with store.writing() as connection:
        agreed = {"consented": revision, "opted_out": None}
        new = store.insert(member).values(person=pseudonym, study=study, role="annotator", **agreed)
        connection.execute(new.on_conflict_do_update(index_elements=["person", "study"], set_=agreed))
        payload = {"revision": revision, "text": text}
        log.append(connection, store, "consent", payload, actor=pseudonym, study=study)


def opt_out(store: Store, pseudonym: str, study: str) -> None:
    """Leave a study: no more tasks of it, and the one in hand goes back."""
    with store.writing() as connection:
        where = (member.c.person == pseudonym) & (member.c.study == study)
        now = store.clock()
        connection.execute(sa.update(member).where(where).values(opted_out=now))
        held = (slot.c.study == study) & (slot.c.holder == pseudonym) & slot.c.filled.is_(None)
        connection.execute(sa.update(slot).where(held).values(holder=None, lease=None, expires=0))
        log.append(connection, store, "opted_out", {}, actor=pseudonym, study=study)
