"""Studies, their revisions, and the items that are to be judged."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import log
from preflab.data.store.open import Store
from preflab.data.store.schema import item, slot, study, study_revision
from preflab.errors import Conflict, NotThere, StoreError

State = Literal["open", "paused", "closed"]
Purpose = Literal["main", "gold", "practice"]


@dataclass(frozen=True, slots=True)
class Study:
    """A study as it stands."""

    name: str
    state: State
    revision: int
    """Counts the definitions it has had; every judgement notes the one it was made under."""
    definition: dict[str, Any]
    sha256: str
    """Of the definition in canonical form."""
    created: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """Something to be judged, before it is in the store."""

    name: str
    """Unique within the study."""
    content: Mapping[str, Any]
    purpose: Purpose = "main"
    slots: int = 1
    """Judgements wanted, by as many people. Gold and practice items have none: everybody gets them."""
    repeat: bool = False
    """Whether those who judge it are shown it a second time, later: are they of one mind with themselves?"""


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be judged."""

    id: int
    study: str
    name: str
    purpose: Purpose
    content: dict[str, Any]
    repeats: int | None


def create_study(store: Store, name: str, definition: Mapping[str, Any], *, actor: str = log.SERVER) -> Study:
    """A new study, open at once.

    Raises:
        Conflict: there is one of that name.
    """
    with store.writing() as connection:
        new = store.insert(study).values(name=name, state="open", revision=1, created=store.clock())
        if connection.scalar(new.on_conflict_do_nothing().returning(study.c.name)) is None:
            raise Conflict(f"there is a study {name!r} already")
        _keep_definition(connection, store, name, 1, definition, actor)
    return find_study(store, name)


def revise_study(store: Store, name: str, definition: Mapping[str, Any], *, actor: str = log.SERVER) -> Study:
    """Give a study another definition; earlier ones stay, and judgements keep the number of theirs."""
    with store.writing() as connection:
        row = _row(connection, name)
        if row.sha256 != log.sha256(log.canonical(definition)):
            connection.execute(sa.update(study).where(study.c.name == name).values(revision=row.revision + 1))
            _keep_definition(connection, store, name, row.revision + 1, definition, actor)
    return find_study(store, name)


def _keep_definition(
    connection: Connection, store: Store, name: str, revision: int, definition: Mapping[str, Any], actor: str
) -> None:
    text = log.canonical(definition)
    row = {"study": name, "revision": revision, "definition": text, "sha256": log.sha256(text), "at": store.clock()}
    connection.execute(sa.insert(study_revision).values(**row))
    payload = {"revision": revision, "definition": dict(definition)}
    kind = "study.created" if revision == 1 else "study.revised"
    log.append(connection, store, kind, payload, actor=actor, study=name)


def set_state(store: Store, name: str, state: State, *, actor: str = log.SERVER) -> None:
    """Pause, open or close a study. What is under way may be handed in still; nothing new is handed out."""
    if state not in get_args(State):
        raise StoreError(f"a study is open, paused or closed, not {state!r}")
    with store.writing() as connection:
        if _row(connection, name).state != state:
            connection.execute(sa.update(study).where(study.c.name == name).values(state=state))
            log.append(connection, store, "study.state", {"state": state}, actor=actor, study=name)


def find_study(store: Store, name: str) -> Study:
    """One study.

    Raises:
        NotThere: there is none of that name.
    """
    with store.reading() as connection:
        return _study(_row(connection, name))


def revision_of(store: Store, name: str) -> int:
    """The number of a study's definition now, without reading it.

    Raises:
        NotThere: there is none of that name.
    """
    with store.reading() as connection:
        revision = connection.scalar(sa.select(study.c.revision).where(study.c.name == name))
        return int(_row(connection, name).revision if revision is None else revision)


def list_studies(store: Store) -> list[Study]:
    """All studies, by name."""
    with store.reading() as connection:
        return [_study(row) for row in connection.execute(_with_definition().order_by(study.c.name))]


def definition_of(store: Store, name: str, revision: int) -> dict[str, Any]:
    """What a study's definition was at some revision."""
    where = (study_revision.c.study == name) & (study_revision.c.revision == revision)
    with store.reading() as connection:
        text = connection.scalar(sa.select(study_revision.c.definition).where(where))
    if text is None:
        raise NotThere(f"study {name!r} has no revision {revision}")
    definition: dict[str, Any] = json.loads(text)
    return definition


def _with_definition() -> sa.Select[Any]:
    same = (study_revision.c.study == study.c.name) & (study_revision.c.revision == study.c.revision)
    return sa.select(study, study_revision.c.definition, study_revision.c.sha256).join(study_revision, same)


def _row(connection: Connection, name: str) -> Any:
    row = connection.execute(_with_definition().where(study.c.name == name)).first()
    if row is None:
        names = ", ".join(connection.scalars(sa.select(study.c.name).order_by(study.c.name)))
        raise NotThere(f"no study {name!r}; there is {names or 'none yet'}")
    return row


def _study(row: Any) -> Study:
    return Study(row.name, row.state, row.revision, json.loads(row.definition), row.sha256, row.created)


def add_items(store: Store, name: str, items: Iterable[NewItem], *, actor: str = log.SERVER) -> int:
    """Add items with their slots, all or none. Slots are handed out item by item, in this order.

    Returns:
        How many were added.

    Raises:
        Conflict: an item of that name is there.
        NotThere: no such study.
    """
    new_items = list(items)
    with store.writing() as connection:
        _row(connection, name)
        position = last_position(connection, name)
        for new in new_items:
            position = _add(connection, name, new, position)
        payload = {
            "items": [[new.name, new.purpose, new.slots, log.sha256(log.canonical(new.content))] for new in new_items]
        }
        log.append(connection, store, "items.added", payload, actor=actor, study=name)
    return len(new_items)


def last_position(connection: Connection, name: str, *, repeats: bool = False) -> int:
    """Where the queue of a study ends, or that of its repeats; -1 (or where repeats begin, less one) if empty."""
    part = slot.c.position >= _FAR if repeats else slot.c.position < _FAR
    last = connection.scalar(sa.select(sa.func.max(slot.c.position)).where(slot.c.study == name, part))
    return (_FAR - 1 if repeats else -1) if last is None else int(last)


def _add(connection: Connection, name: str, new: NewItem, position: int) -> int:
    """One item, and its twin where it is to be repeated; the last position used."""
    if new.slots < 1:
        raise StoreError(f"item {new.name!r}: slots must be at least 1, got {new.slots}")
    row: dict[str, Any] = {"study": name, "name": new.name, "purpose": new.purpose}
    row["content"] = log.canonical(new.content)
    item_id = _new_item(connection, row)
    if new.purpose != "main":
        return position
    _slots(connection, name, item_id, range(position + 1, position + 1 + new.slots))
    position += new.slots
    if new.repeat:
        row |= {"name": f"{new.name} (again)", "repeats": item_id}
        twin = _new_item(connection, row)
        # far down the queue, so that the first look is forgotten
        _slots(connection, name, twin, range(_FAR + position, _FAR + position + new.slots))
    return position


def _new_item(connection: Connection, row: dict[str, Any]) -> int:
    try:
        with connection.begin_nested():
            return int(connection.execute(sa.insert(item).values(**row).returning(item.c.id)).scalar_one())
    except sa.exc.IntegrityError as error:
        raise Conflict(f"study {row['study']!r} has an item {row['name']!r} already") from error


_FAR = 1_000_000_000
"""Positions of repeats start here: they come when the rest is handed out, or every so often (``queue.claim``)."""


def _slots(connection: Connection, name: str, of: int, positions: Sequence[int]) -> None:
    rows = [{"study": name, "item": of, "number": n, "position": at} for n, at in enumerate(positions)]
    connection.execute(sa.insert(slot), rows)


def items_of(store: Store, name: str, purpose: Purpose | None = None) -> list[Item]:
    """The items of a study in the order they were added."""
    query = sa.select(item).where(item.c.study == name).order_by(item.c.id)
    if purpose is not None:
        query = query.where(item.c.purpose == purpose)
    with store.reading() as connection:
        return [to_item(row) for row in connection.execute(query)]


def to_item(row: Any) -> Item:
    """A row of the table ``item``."""
    return Item(row.id, row.study, row.name, row.purpose, json.loads(row.content), row.repeats)
