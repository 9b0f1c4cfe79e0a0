"""Copies of a store: taken while it is in use, checked before they count."""

import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from preflab.data.store.judgements import verify
from preflab.data.store.open import Store, make_folder, open_store
from preflab.errors import StoreError


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy that was read and found whole."""

    path: Path
    events: int
    head: str


def back_up(store: Store, path: str | Path) -> Backup:
    """Copy a store while others use it; of SQLite with its own backup, of PostgreSQL with ``pg_dump``.

    The copy is one moment of the store. A copy of SQLite is opened and verified before it gets its name.

    Raises:
        StoreError: the file is there already, the copy does not verify, or ``pg_dump`` fails.
    """
    path = Path(path)
    if path.exists():
        raise StoreError(f"{path}: is there already; backups are not overwritten")
    make_folder(path.parent)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        if store.is_postgres:
            return _dump(store, path, unfinished)
        with store.engine.connect() as connection, sqlite3.connect(unfinished) as copy:
            source = connection.connection.driver_connection
            assert source is not None
            # in one go: in pieces it begins anew whenever somebody writes; here nobody waits for it
            source.backup(copy)
        copy.close()
        events, head = _check(unfinished)
        unfinished.replace(path)
    finally:
        for name in (unfinished, *(Path(f"{unfinished}{end}") for end in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
    return Backup(path, events, head)


def _check(path: Path) -> tuple[int, str]:
    with sqlite3.connect(path) as raw_copy:  # opening would make a store of an empty file
        has_store = raw_copy.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()[0]
    raw_copy.close()
    if not has_store:
        raise StoreError(f"{path}: holds no store")
    copy = open_store(path, create=False)
    try:
        verification = verify(copy)
        with copy.writing() as connection:  # one file, with nothing left beside it
            connection.execute(sa.text("SELECT 1"))
        with copy.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.rollback()
            raw.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()
    if not verification.ok:
        raise StoreError(f"{path}: does not verify: {verification.problems[0]}")
    return verification.events, verification.head


def _dump(store: Store, path: Path, unfinished: Path) -> Backup:
    verification = verify(store)
    if not verification.ok:
        raise StoreError(f"the store does not verify: {verification.problems[0]}")
    url = store.engine.url.set(drivername="postgresql")
    environment = {**os.environ, "PGPASSWORD": url.password or ""}
    address = url.set(password=None).render_as_string(hide_password=False)
    command = ["pg_dump", "--format=custom", "--no-owner", f"--file={unfinished}", address]
    try:
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise StoreError("pg_dump is not installed here; it comes with PostgreSQL") from error
    if process.returncode != 0:
        raise StoreError(f"pg_dump failed: {process.stderr.strip():.500}")
    unfinished.replace(path)
    return Backup(path, verification.events, verification.head)


def restore(backup: str | Path, to: str | Path) -> Backup:
    """Put a backup of an SQLite store in the place of a store that is not there (any more).

    Raises:
        StoreError: there is a store at that place, the backup is none, or it does not verify.
    """
    backup, to = Path(backup), Path(to)
    if not backup.is_file():
        raise StoreError(f"{backup}: no such file")
    with backup.open("rb") as stream:
        begins = stream.read(5)
    if begins == b"PGDMP":
        raise StoreError(f"{backup}: is a dump of PostgreSQL; restore it with pg_restore into an empty database")
    for file in (to, Path(f"{to}-wal"), Path(f"{to}-journal")):  # SQLite would play a log left there into the copy
        if file.exists():
            raise StoreError(f"{file}: a store is there already; move it away first")
    make_folder(to.parent)
    unfinished = to.with_name(f".{to.name}.unfinished")
    shutil.copyfile(backup, unfinished)
    try:
        try:
            events, head = _check(unfinished)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{backup}: is no store ({error})") from error
        unfinished.replace(to)
    finally:
        for name in (unfinished, *(Path(f"{unfinished}{end}") for end in ("-wal", "-shm"))):
            name.unlink(missing_ok=True)
    return Backup(to, events, head)
