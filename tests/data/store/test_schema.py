"""What must never happen is forbidden by the database itself, on SQLite and on PostgreSQL: row by row."""

from typing import Any

import pytest
import sqlalchemy as sa

from preflab.data.store import Store
from preflab.data.store.schema import tables
from preflab.errors import StoreError
from tests.data.store.conftest import START

HASH = "{:064d}"


def event_row(seq: int, /, **changes: Any) -> dict[str, Any]:
    hashes = {"body_hash": HASH.format(0), "previous": HASH.format(seq), "hash": HASH.format(seq + 1)}
    return {"seq": seq, "at": START, "kind": "x", "study": None, "actor": "server", **hashes, **changes}


def slot_row(number: int, /, **changes: Any) -> dict[str, Any]:
    row = {"id": number, "study": "s", "item": number, "number": 0, "position": number}
    return row | {"holder": None, "lease": None, "expires": 0, "filled": None} | changes


def judgement_row(seq: int, /, **changes: Any) -> dict[str, Any]:
    row = {"seq": seq, "study": "s", "item": 1, "slot": 1, "part": 0, "completes": 1, "person": "p-a"}
    return row | {"key": f"key-{seq}", "status": "counted", "supersedes": None, "at": START} | changes


def turn_row(number: int, /, **changes: Any) -> dict[str, Any]:
    row = {"id": number, "slot": 1, "person": "p-a", "number": number, "text": "hi", "key": f"turn-{number}"}
    return row | {"fresh": 0, "chosen": None, "edited": None, "at": START} | changes


def reply_row(number: int, /, **changes: Any) -> dict[str, Any]:
    row = {"id": number, "turn": 1, "place": number, "policy": "p", "state": "waiting", "text": "", "error": None}
    return row | {"details": "{}", "worker": None, "expires": 0, "tries": 0} | changes


def token_row(number: int, /, **changes: Any) -> dict[str, Any]:
    row = {"hash": HASH.format(number), "kind": "api", "study": "s", "role": "owner", "person": "p-a", "created": START}
    return row | {"expires": START, "uses_left": None, "revoked": None, "note": ""} | changes


GOOD: list[tuple[str, dict[str, Any]]] = [
    *(("event", event_row(seq)) for seq in (1, 2, 3, 4)),
    ("body", {"seq": 1, "salt": "s", "body": "{}"}),
    *(("person", {"id": f"p-{name}", "name": name, "password": None, "created": START}) for name in "ab"),
    ("study", {"name": "s", "state": "open", "revision": 1, "created": START}),
    ("member", {"person": "p-a", "study": "s", "role": "owner"}),
    ("token", token_row(1)),
    *(("item", {"id": n, "study": "s", "name": f"i{n}", "purpose": "main", "content": "{}"}) for n in (1, 2, 3)),
    ("slot", slot_row(1, holder="p-a", lease="l1", filled=1)),
    ("slot", slot_row(2, holder="p-a", lease="l2", expires=START)),
    ("slot", slot_row(3)),
    ("judgement", judgement_row(1)),
    ("turn", turn_row(1)),
    ("reply", reply_row(1)),
]
"""A small store in order: a judged slot, one in hand, a free one."""


def insert(store: Store, name: str, row: dict[str, Any]) -> None:
    with store.writing() as connection:
        connection.execute(sa.insert(tables.tables[name]).values(**row))


@pytest.fixture
def filled(store: Store) -> Store:
    for name, row in GOOD:
        insert(store, name, row)
    return store


@pytest.mark.parametrize(
    ("name", "row", "rule"),
    [
        ("event", event_row(5, previous=HASH.format(2)), "two events follow one"),
        ("event", event_row(5, hash=HASH.format(2)), "two events have one hash"),
        ("event", event_row(1, previous=HASH.format(9), hash=HASH.format(10)), "a number is used twice"),
        ("event", event_row(5, kind=None), "an event says what happened"),
        ("body", {"seq": 9, "salt": "s", "body": "{}"}, "a body belongs to an event"),
        ("person", {"id": "p-c", "name": "a", "created": START}, "a name is taken"),
        ("person", {"id": "p-a", "name": "c", "created": START}, "a pseudonym is taken"),
        ("study", {"name": "t", "state": "begun", "revision": 1, "created": START}, "a state is one of three"),
        ("study_revision", {"study": "t", "revision": 1, "definition": "{}", "sha256": "", "at": START}, "of a study"),
        ("member", {"person": "p-b", "study": "s", "role": "admin"}, "a role is one of three"),
        ("member", {"person": "p-a", "study": "s", "role": "reviewer"}, "one role in a study"),
        ("member", {"person": "p-c", "study": "s", "role": "reviewer"}, "a member is a person"),
        ("token", token_row(2, kind="cookie"), "a token's kind is one of five"),
        ("token", token_row(2, uses_left=-1), "a token is not used below nothing"),
        ("token", token_row(1), "a token is issued once"),
        ("item", {"id": 9, "study": "s", "name": "i1", "purpose": "main", "content": "{}"}, "a name once a study"),
        ("item", {"id": 9, "study": "s", "name": "i9", "purpose": "fun", "content": "{}"}, "a purpose is one of three"),
        ("item", {"id": 9, "study": "t", "name": "i9", "purpose": "main", "content": "{}"}, "an item is of a study"),
        ("slot", slot_row(4, item=3, number=0), "a slot's number once an item"),
        (
            "slot",
            slot_row(4, item=1, number=1, holder="p-a", lease="l4", filled=2),
            "nobody has two slots of an item",
        ),
        ("slot", slot_row(4, item=3, number=1, holder="p-a", lease="l4"), "nobody holds two open tasks of a study"),
        ("slot", slot_row(4, item=3, number=1, holder="p-b", lease="l2"), "a lease is given once"),
        ("slot", slot_row(4, item=3, number=1, holder="p-b"), "a holder has a lease"),
        ("slot", slot_row(4, item=3, number=1, lease="l4"), "a lease has a holder"),
        ("slot", slot_row(4, item=3, number=1, filled=3), "a slot is filled by its holder"),
        ("slot", slot_row(4, item=3, number=1, holder="p-b", lease="l4", filled=1), "an event fills one slot"),
        ("slot", slot_row(4, item=3, number=1, holder="p-b", lease="l4", filled=9), "an event that happened fills it"),
        ("judgement", judgement_row(2, person="p-b", part=1), "one counted judgement completes a slot"),
        ("judgement", judgement_row(2, completes=0), "one counts of a person's turn"),
        ("judgement", judgement_row(2, slot=2, key="key-1"), "a key is used once"),
        ("judgement", judgement_row(2, slot=2, status="lost"), "a status is one of six"),
        ("judgement", judgement_row(9, slot=2), "a judgement stands in the log"),
        ("turn", turn_row(2, number=1), "a turn's number once a slot and person"),
        ("turn", turn_row(2, key="turn-1"), "a message is sent once"),
        ("reply", reply_row(2, place=1), "a place holds one reply"),
        ("reply", reply_row(2, state="paused"), "a state is one of four"),
        ("reply", reply_row(2, turn=9), "a reply answers a turn"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_a_row_against_the_rules_is_refused_and_leaves_nothing(
    filled: Store, name: str, row: dict[str, Any], rule: str
) -> None:
    del rule
    with filled.reading() as connection:
        before = connection.execute(sa.select(sa.func.count()).select_from(tables.tables[name])).scalar()
    with pytest.raises(sa.exc.IntegrityError):
        insert(filled, name, row)
    with filled.reading() as connection:
        after = connection.execute(sa.select(sa.func.count()).select_from(tables.tables[name])).scalar()
    assert after == before


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("slot", slot_row(4, item=3, number=1)),
        ("slot", slot_row(4, item=3, number=1, holder="p-b", lease="l4", expires=START)),
        ("slot", slot_row(4, item=3, number=1, holder="p-a", lease="l4", filled=2)),  # a filled slot is no open task
        ("judgement", judgement_row(2, status="superseded")),  # of a slot, one counts; the others stay beside it
        ("judgement", judgement_row(2, slot=None, status="practice")),
        ("judgement", judgement_row(2, completes=0, part=1)),  # a turn on the way
        ("turn", turn_row(2, person="p-b", number=1)),
        ("person", {"id": "p-c", "name": None, "created": START}),
        ("token", token_row(2, uses_left=0)),
        ("member", {"person": "p-a", "study": "*", "role": "owner"}),
    ],
)
def test_a_row_within_the_rules_is_taken(filled: Store, name: str, row: dict[str, Any]) -> None:
    insert(filled, name, row)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE event SET kind = 'y' WHERE seq = 1", "DELETE FROM event WHERE seq = 1"],
)
def test_the_log_can_be_neither_changed_nor_deleted(filled: Store, statement: str) -> None:
    with pytest.raises(StoreError, match="the log only grows"), filled.writing() as connection:
        connection.execute(sa.text(statement))
