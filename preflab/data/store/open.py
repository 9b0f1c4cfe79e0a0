"""Open a store: SQLite in a file by default, PostgreSQL by a URL; brought up to date on the way."""

import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event as hooks
from sqlalchemy.engine import Connection, Engine

from preflab.data.store import schema
from preflab.errors import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = "0001"
SECRETS = ("lease", "order", "form")
_MIGRATION_LOCK = 0x7072_6566  # PostgreSQL: one process migrates at a time
_BUSY_SECONDS = 60.0
_LONGEST_PAUSE = 0.012


def now_ms() -> int:
    """The time as the store counts it: milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Store:
    """An open store. Threads may share it; processes open their own."""

    engine: Engine
    clock: Callable[[], int] = field(default=now_ms)
    """Milliseconds since 1970. Tests turn it on by hand."""
    _keys: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    """Of the threads that would write to SQLite. Those of one process queue here, each without a connection: SQLite
    itself lets them ask again and again, and the pool would be empty while one of them holds the lock."""

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """A transaction that is the only writer (SQLite) or locks the rows it takes (PostgreSQL).

        Args:
            durable: whether it is on the disk before this returns. One that is not is lost at a power cut if no
                durable one came after it, but not when the process is killed; it takes no fsync.
        """
        turn = nullcontext() if self.is_postgres else self._turn
        with turn, _explained(), self.engine.connect() as connection:
            if not durable:
                connection.execution_options(preflab_durable=False)
            with connection.begin():
                if not durable and self.is_postgres:
                    connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view; waits for nobody and holds nobody up."""
        options: dict[str, Any] = {"preflab_reads": True}
        if self.is_postgres:  # its default shows each statement what others finished meanwhile
            options["isolation_level"] = "REPEATABLE READ"
        with _explained(), self.engine.connect().execution_options(**options) as connection:
            yield connection

    @property
    def is_postgres(self) -> bool:
        """Whether the store lies on a PostgreSQL server."""
        return self.engine.dialect.name == "postgresql"

    def secret(self, name: str) -> bytes:
        """A random key of 32 bytes, made once for the life of the store: ``lease``, ``order`` or ``form``."""
        if name not in self._keys:
            with self.reading() as connection:
                query = sa.select(schema.secret.c.value).where(schema.secret.c.name == name)
                self._keys[name] = bytes.fromhex(connection.execute(query).scalar_one())
        return self._keys[name]

    def insert(self, table: sa.Table) -> Any:
        """An insert of this dialect, which knows ``ON CONFLICT``."""
        from sqlalchemy.dialects import postgresql, sqlite

        return postgresql.insert(table) if self.is_postgres else sqlite.insert(table)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@contextmanager
def _explained() -> Iterator[None]:
    """Trouble with the database as an error that the user can act on."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        # a constraint, which the caller may expect; but SQLite reports what a trigger raises as one, too
        if isinstance(error, sa.exc.IntegrityError) and "only grows" not in str(error.orig):
            raise
        raise StoreError(f"the database refused: {error.orig}") from error
    except UnicodeEncodeError as error:
        raise StoreError("half a surrogate is no text that a database keeps") from error


def open_store(where: str | Path, *, clock: Callable[[], int] = now_ms, create: bool = True) -> Store:
    """Open the store at a path (SQLite) or URL (``postgresql://...``), made or brought up to date where needed.

    Args:
        where   a file, or a URL of SQLAlchemy's form; of a URL's password nothing is ever shown.
        create  whether a store that is not there is made.

    Raises:
        StoreError: the store is not there and ``create`` is off, it was made by a newer preflab, or the database
            refuses.
    """
    url = _url(where)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if not create and not path.is_file():
            raise StoreError(f"{path}: no store there; 'preflab collect' makes one")
        if path.is_dir():
            raise StoreError(f"{path}: is a folder; expected a file, such as {path / 'store.db'}")
        make_folder(path.parent)
    store = Store(_engine(url), clock)
    try:
        _bring_up_to_date(store)
    except BaseException:
        store.close()
        raise
    return store


def make_folder(folder: Path) -> None:
    """A folder for a store or a copy of one.

    Raises:
        StoreError: it cannot be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError, FileNotFoundError) as error:
        raise StoreError(f"{folder}: no folder can be made there ({error.strerror})") from error


def _url(where: str | Path) -> sa.URL:
    if "://" not in str(where):
        return sa.URL.create("sqlite", database=str(where))
    url = sa.make_url(str(where))
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite":
        raise StoreError(f"a store is a file or a postgresql:// URL, got {url.get_backend_name()}://")
    return url


def _engine(url: sa.URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(url, pool_pre_ping=True, hide_parameters=True, pool_size=8, max_overflow=24)
    connect = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
    engine = sa.create_engine(url, connect_args=connect, hide_parameters=True, pool_size=8, max_overflow=24)

    @hooks.listens_for(engine, "connect")
    def _prepare(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # transactions are begun below, not by the driver
        _when_free(raw, "PRAGMA journal_mode = WAL")  # SQLite does not wait where two switch a new file at once
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            raw.execute(f"PRAGMA {pragma}")

    @hooks.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        raw: Any = connection.connection.driver_connection
        options = connection.get_execution_options()
        if options.get("preflab_reads", False):
            raw.execute("BEGIN")
            return
        synchronous = "FULL" if options.get("preflab_durable", True) else "NORMAL"
        if connection.info.get("synchronous", "FULL") != synchronous:
            raw.execute(f"PRAGMA synchronous = {synchronous}")
            connection.info["synchronous"] = synchronous
        # the only writer from here on: one that reads first and writes later may find that it cannot
        _when_free(raw, "BEGIN IMMEDIATE")

    return engine


def _when_free(raw: sqlite3.Connection, statement: str) -> None:
    """Run a statement that needs the file for itself, as soon as nobody else has it.

    SQLite's own wait sleeps longer the longer it has waited, up to a tenth of a second, while those who have just come
    are served: with eight processes that claim and vote, one vote in a hundred took 1.3 s, and 0.4 s in this way.
    """
    raw.execute("PRAGMA busy_timeout = 0")
    deadline, pause = time.monotonic() + _BUSY_SECONDS, 0.001
    try:
        while True:
            try:
                raw.execute(statement)
                return
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                    raise StoreError(f"the database refused: {error}") from error
                if time.monotonic() > deadline:
                    message = f"somebody has been writing to this store for {_BUSY_SECONDS:.0f} s; try again later"
                    raise StoreError(message) from error
                time.sleep(random.uniform(0.5, 1.5) * pause)
                pause = min(1.5 * pause, _LONGEST_PAUSE)
    finally:
        raw.execute(f"PRAGMA busy_timeout = {round(1000 * _BUSY_SECONDS)}")


def schema_revision(connection: Connection) -> str | None:
    """The number of the last migration that a database has seen; None for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    version = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if version is None else str(version)


def _bring_up_to_date(store: Store) -> None:
    with store.reading() as connection:
        revision = schema_revision(connection)
    if revision == NEWEST:
        return
    if revision is not None and revision > NEWEST:
        raise StoreError(
            f"this store has schema {revision}, made by a newer preflab; this one knows schemas up to {NEWEST}. "
            "Nothing was changed: update preflab, or restore a backup"
        )
    with store.writing() as connection:
        if store.is_postgres:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        if schema_revision(connection) != NEWEST:  # another process may have been first
            migrate(connection)
            new_secrets = [{"name": name, "value": secrets.token_hex(32)} for name in SECRETS]
            connection.execute(store.insert(schema.secret).on_conflict_do_nothing(), new_secrets)


def migrate(connection: Connection, to: str = "head") -> None:
    """Run the migrations that are missing, in the caller's transaction: all or none."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
