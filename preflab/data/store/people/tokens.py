"""The secrets that let people in: sessions, invitations, personal links and API tokens. Only hashes are stored."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import log
from preflab.data.store.open import Store
from preflab.data.store.people.accounts import add_person
from preflab.data.store.people.roles import EVERY, RANK, Role, put_role
from preflab.data.store.schema import member, token
from preflab.errors import NotThere, StoreError

Kind = Literal["bootstrap", "invite", "return", "session", "api"]
DAY_MS = 86_400_000


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
        new = pseudonym or add_person(connection, store, name, password, log.SERVER)
        has = connection.scalar(
            sa.select(member.c.role).where(member.c.person == new, member.c.study == invitation.study)
        )
        if has is None or RANK[has] < RANK[invitation.role]:
            put_role(connection, store, new, invitation.study, invitation.role, log.SERVER)
    return new, invitation
