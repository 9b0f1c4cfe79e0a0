"""People under pseudonyms. A name and a password exist for owners; annotators need neither."""

import secrets
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import log
from preflab.data.store.open import Store
from preflab.data.store.schema import person, token
from preflab.errors import Conflict, NotThere

_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that is taken for another


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, as far as the store knows."""

    id: str
    name: str | None
    password: str | None
    created: int
    erased: int | None


def new_person(store: Store, *, name: str | None = None, password: str | None = None, actor: str = log.SERVER) -> str:
    """Somebody new; returns the pseudonym.

    Args:
        name      for logging in; None for people who come by link.
        password  hashed already (argon2id); this file hashes nothing.

    Raises:
        Conflict: the name is taken.
    """
    with store.writing() as connection:
        return add_person(connection, store, name, password, actor)


def add_person(connection: Connection, store: Store, name: str | None, password: str | None, actor: str) -> str:
    """``new_person`` within a transaction."""
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
