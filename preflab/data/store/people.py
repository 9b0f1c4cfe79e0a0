"""People under pseudonyms, what they may do, and the tokens that let them in.

A judgement knows a pseudonym. A name and a password exist for owners; annotators need neither. Of a token only its
hash is kept. Network addresses are kept nowhere.
"""

import hashlib
import secrets
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import log
from preflab.data.store.open import Store
from preflab.data.store.schema import event, judgement, member, person, reply, slot, token, turn
from preflab.errors import Conflict, NotThere, StoreError

Role = Literal["annotator", "reviewer", "owner"]
RANK: dict[str, int] = {"annotator": 1, "reviewer": 2, "owner": 3}
"""Who may do more; a reviewer sees results and hands nothing out, an owner may do everything."""
EVERY = "*"
"""In the place of a study: all of them, also those to come."""
Kind = Literal["bootstrap", "invite", "return", "session", "api"]
DAY_MS = 86_400_000
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that is taken for another


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as far as the store knows."""

    id: str
    name: str | None
    password: str | None
    created: int
    erased: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """What somebody may do in a study."""

    person: str
    study: str
    role: Role
    consented: int | None
    opted_out: int | None


@dataclass(frozen=True, slots=True)
class Token:
    """What a secret stands for."""

    hash: str
    kind: Kind
    study: str
    role: Role
    person: str | None
    expires: int
    uses_left: int | None
    note: str
    created: int
    revoked: int | None


def new_person(store: Store, *, name: str | None = None, password: str | None = None, actor: str = log.SERVER) -> str:
    """Somebody new; returns the pseudonym.

    Args:
        name      for logging in; None for people who come by link.
        password  hashed already (argon2id); this file hashes nothing.

    Raises:
        Conflict: the name is taken.
    """
    with store.writing() as connection:
        return _new_person(connection, store, name, password, actor)


def _new_person(connection: Connection, store: Store, name: str | None, password: str | None, actor: str) -> str:
    pseudonym = "p-" + "".join(secrets.choice(_LETTERS) for _ in range(10))
    row = {"id": pseudonym, "name": name, "password": password, "created": store.clock()}
    new = store.insert(person).values(**row).on_conflict_do_nothing().returning(person.c.id)
    if connection.scalar(new) is None:
        raise Conflict(f"the name {name!r} is taken")
    log.append(connection, store, "person.added", {"person": pseudonym}, actor=actor)
    return pseudonym


def check_person(connection: Connection, pseudonym: str, *, exclusive: bool = False) -> None:
    """Nobody judges who is unknown or erased; while this transaction lasts they cannot be erased.

    Args:
        exclusive: nor do anything else of this kind, in another window, while this transaction lasts.

    Raises:
        NotThere: there is nobody of that pseudonym.
    """
    if connection.scalar(_here(connection.dialect.name == "postgresql", exclusive), {"who": pseudonym}) is None:
        raise NotThere(f"there is nobody of the pseudonym {pseudonym!r}")


@cache
def _here(postgres: bool, exclusive: bool) -> sa.Select[Any]:
    query = sa.select(person.c.id).where(person.c.id == sa.bindparam("who"), person.c.erased.is_(None))
    return query.with_for_update(read=not exclusive, key_share=True) if postgres else query


def find_person(store: Store, *, id: str | None = None, name: str | None = None) -> Person | None:
    """Somebody by pseudonym or by name."""
    where = person.c.id == id if id is not None else person.c.name == name
    with store.reading() as connection:
        row = connection.execute(sa.select(person).where(where)).first()
    return None if row is None else Person(*row)


def set_password(store: Store, pseudonym: str, password: str) -> None:
    """Another password, hashed already. All that let the person in ends: sessions, API tokens, the personal link."""
    with store.writing() as connection:
        connection.execute(sa.update(person).where(person.c.id == pseudonym).values(password=password))
        _revoke_access(connection, store, pseudonym)
        log.append(connection, store, "password.set", {}, actor=pseudonym)


def _revoke_access(connection: Connection, store: Store, pseudonym: str) -> None:
    where = (token.c.person == pseudonym) & token.c.kind.in_(("session", "api", "return")) & token.c.revoked.is_(None)
    connection.execute(sa.update(token).where(where).values(revoked=store.clock()))


# what somebody may do --------------------------------------------------------------------------------------


def grant(store: Store, pseudonym: str, study: str, role: Role, *, actor: str = log.SERVER) -> None:
    """Let somebody be owner, reviewer or annotator of a study (``*`` for all)."""
    with store.writing() as connection:
        _grant(connection, store, pseudonym, study, role, actor)


def _grant(connection: Connection, store: Store, pseudonym: str, study: str, role: Role, actor: str) -> None:
    if role not in get_args(Role):
        raise StoreError(f"a role is one of {', '.join(get_args(Role))}, got {role!r}")
    if study == EVERY and role != "owner":
        _not_the_last_owner(connection, pseudonym)
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
            _not_the_last_owner(connection, pseudonym)
        held = (slot.c.study == study) & (slot.c.holder == pseudonym) & slot.c.filled.is_(None)
        connection.execute(sa.update(slot).where(held).values(holder=None, lease=None, expires=0))
        gone = sa.delete(member).where(member.c.person == pseudonym, member.c.study == study)
        if connection.execute(gone).rowcount:
            log.append(connection, store, "role.removed", {"person": pseudonym}, actor=actor, study=study)


def _not_the_last_owner(connection: Connection, pseudonym: str) -> None:
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


# tokens ----------------------------------------------------------------------------------------------------


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def issue_token(
    store: Store,
    kind: Kind,
    *,
    study: str = EVERY,
    role: Role = "annotator",
    pseudonym: str | None = None,
    days: float,
    uses: int | None = None,
    note: str = "",
    actor: str = log.SERVER,
) -> str:
    """A secret that lets somebody in; it is returned this once and never kept.

    Args:
        days  until it expires.
        uses  how often it may be used; None for as often as one likes.
    """
    if kind not in get_args(Kind) or role not in get_args(Role):
        raise StoreError(f"no token of kind {kind!r} and role {role!r}")
    secret = secrets.token_urlsafe(32)
    row: dict[str, Any] = {
        "hash": _digest(secret),
        "kind": kind,
        "study": study,
        "role": role,
        "person": pseudonym,
        "note": note[:200],
    }
    row |= {"created": store.clock(), "expires": store.clock() + round(days * DAY_MS), "uses_left": uses}
    with store.writing() as connection:
        connection.execute(sa.insert(token).values(**row))
        if kind != "session":  # people come and go; the log is for what changes who may do what
            payload = {
                "kind": kind,
                "role": role,
                "person": pseudonym,
                "token": row["hash"][:12],
                "uses": uses,
                "days": days,
            }
            log.append(connection, store, "token.issued", payload, actor=actor, study=study)
    return secret


def find_token(store: Store, secret: str, *kinds: Kind) -> Token | None:
    """What a secret stands for, if it is of these kinds, not expired, not revoked and not used up."""
    if not secret or len(secret) > 200:
        return None
    with store.reading() as connection:
        return _find_token(connection, store, secret, kinds)


def _find_token(connection: Connection, store: Store, secret: str, kinds: tuple[Kind, ...]) -> Token | None:
    good = (token.c.hash == _digest(secret)) & token.c.kind.in_(kinds) & token.c.revoked.is_(None)
    good &= (token.c.expires > store.clock()) & (token.c.uses_left.is_(None) | (token.c.uses_left > 0))
    row = connection.execute(sa.select(token).where(good)).first()
    return None if row is None else _token(row)


def _token(row: Any) -> Token:
    names = ("hash", "kind", "study", "role", "person", "expires", "uses_left", "note", "created", "revoked")
    return Token(*(getattr(row, name) for name in names))


def tokens_of(store: Store, study: str, *kinds: Kind) -> list[Token]:
    """Tokens of a study, newest first."""
    where = (token.c.study == study) & token.c.kind.in_(kinds)
    with store.reading() as connection:
        return [
            _token(row) for row in connection.execute(sa.select(token).where(where).order_by(token.c.created.desc()))
        ]


def revoke(store: Store, digest: str, *, actor: str) -> bool:
    """End a token, by its hash; False when there is none that could be ended."""
    with store.writing() as connection:
        where = (token.c.hash == digest) & token.c.revoked.is_(None)
        ended = sa.update(token).where(where).values(revoked=store.clock()).returning(token.c.study)
        study = connection.execute(ended).scalar()
        if study is not None:
            log.append(connection, store, "token.revoked", {"token": digest[:12]}, actor=actor, study=study)
    return study is not None


def use_invite(
    store: Store, secret: str, *, pseudonym: str | None = None, name: str | None = None, password: str | None = None
) -> tuple[str, Token]:
    """Take up an invitation or the bootstrap secret: the pseudonym, new or ``pseudonym``, now a member.

    Counting down, the new person and the role are one transaction: an invitation for one lets in one.

    Raises:
        NotThere: there is no such invitation, or it has expired, was revoked or is used up.
        Conflict: the name is taken.
    """
    with store.writing() as connection:
        invitation = _find_token(connection, store, secret, ("invite", "bootstrap"))
        if invitation is not None and invitation.uses_left is not None:
            left = (token.c.hash == invitation.hash) & (token.c.uses_left > 0)
            if connection.execute(sa.update(token).where(left).values(uses_left=token.c.uses_left - 1)).rowcount != 1:
                invitation = None
        if invitation is None:
            raise NotThere("this invitation is not known, has expired, was revoked or has been used up")
        new = pseudonym or _new_person(connection, store, name, password, log.SERVER)
        has = connection.scalar(
            sa.select(member.c.role).where(member.c.person == new, member.c.study == invitation.study)
        )
        if has is None or RANK[has] < RANK[invitation.role]:
            _grant(connection, store, new, invitation.study, invitation.role, log.SERVER)
    return new, invitation


# leaving ---------------------------------------------------------------------------------------------------


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
        _not_the_last_owner(connection, pseudonym)
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
