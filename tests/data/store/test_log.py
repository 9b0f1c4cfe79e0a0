"""The log: a chain that only grows, in which any changed byte is found."""

import json
import random
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.data.store import Store, judgements, log, open_store, people
from preflab.data.store.schema import body, event
from preflab.errors import StoreError
from tests.data.store.made import crowd, judge_all, rows, study_of


def append(store: Store, *says: Any) -> None:
    for told in says:
        with store.writing() as connection:
            log.append(connection, store, "note", {"says": told}, actor=log.SERVER)


def test_the_first_event_by_hand(store: Store) -> None:
    append(store, "é")
    (line,), (text,) = rows(store, event), rows(store, body)
    assert text["body"] == '{"says":"\\u00e9"}'
    assert line["body_hash"] == log.sha256(text["salt"] + '{"says":"\\u00e9"}')
    told = f'[1,{store.clock()},"note",null,"server","{line["body_hash"]}","{"0" * 64}"]'
    assert line["hash"] == log.sha256(told)
    with store.reading() as connection:
        assert log.head(connection) == (1, line["hash"])
        assert [happened.body for happened in log.events(connection)] == [{"says": "é"}]


def test_an_empty_log_is_sound(store: Store) -> None:
    found = judgements.verify(store)
    assert (found.ok, found.events, found.head) == (True, 0, log.START)


def test_every_event_follows_the_one_before(store: Store) -> None:
    append(store, *range(5))
    lines = rows(store, event, event.c.seq)
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["previous"] for line in lines] == [log.START, *(line["hash"] for line in lines[:-1])]
    with store.reading() as connection:
        assert [happened.body for happened in log.events(connection, up_to=2)] == [{"says": 0}, {"says": 1}]


def test_the_same_words_twice_have_different_hashes(store: Store) -> None:
    """Else the hash of an erased 'yes' would tell that it was 'yes'."""
    append(store, "yes", "yes")
    first, second = rows(store, event, event.c.seq)
    assert first["body_hash"] != second["body_hash"]


@pytest.mark.parametrize("text", ["NUL \x00", "half a surrogate \ud800", "\u202eright to left", "\u200b", "\U0001f600"])
def test_any_text_is_kept_as_it_is(store: Store, text: str) -> None:
    append(store, text)
    with store.reading() as connection:
        assert [happened.body for happened in log.events(connection)] == [{"says": text}]
    assert judgements.verify(store).ok


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_json_is_refused_and_nothing_is_kept(store: Store, number: float) -> None:
    with pytest.raises(StoreError, match="JSON"):
        append(store, number)
    assert rows(store, event) == []


@pytest.mark.parametrize(
    "change",
    [
        sa.update(event).values(at=5),
        sa.delete(event).where(event.c.seq == 2),
        sa.update(body).values(body="{}"),
    ],
    ids=["update event", "delete event", "update body"],
)
def test_the_database_refuses_to_change_the_log(store: Store, change: Any) -> None:
    append(store, 1, 2)
    with pytest.raises(StoreError, match="the log only grows"), store.writing() as connection:
        connection.execute(change)
    assert judgements.verify(store).ok


def test_the_log_cannot_fork(store: Store) -> None:
    append(store, 1)
    (line,) = rows(store, event)
    twin = line | {"seq": 2, "hash": "f" * 64}  # follows what the first follows
    with pytest.raises(sa.exc.IntegrityError), store.writing() as connection:
        connection.execute(sa.insert(event).values(**twin))


def test_an_erased_body_leaves_the_chain_whole(store: Store) -> None:
    study = study_of(store, "x", "y")
    anna, ben = crowd(store, 2)
    judge_all(store, study, [anna, ben])
    people.erase_person(store, anna, actor=ben)
    found = judgements.verify(store)
    assert found.ok
    assert found.erased == 1
    assert [e["kind"] for e in rows(store, event, event.c.seq)][-1] == "person.erased"


def test_a_body_that_is_gone_without_an_erasure_is_found(store: Store) -> None:
    append(store, 1, 2)
    with store.writing() as connection:
        log.erase_bodies(connection, [1])
    (problem,) = judgements.verify(store).problems
    assert "event 1: what it said is missing" in problem


def test_an_erasure_says_nothing_of_what_comes_after_it(store: Store) -> None:
    with store.writing() as connection:
        log.append(connection, store, "person.erased", {"person": "p", "events": [2]}, actor=log.SERVER)
    append(store, "later")
    with store.writing() as connection:
        log.erase_bodies(connection, [2])
    assert not judgements.verify(store).ok


def test_a_cut_tail_is_found_by_what_was_noted_earlier(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = open_store(path)
    append(store, 1, 2, 3)
    with store.reading() as connection:
        noted = log.head(connection)
    store.close()
    tamper(path, "DELETE FROM body WHERE seq = 3", "DELETE FROM event WHERE seq = 3")
    store = open_store(path)
    assert judgements.verify(store).ok  # by itself a shorter log is sound
    (problem,) = judgements.verify(store, expect=noted).problems
    assert problem == f"event 3 should have hash {noted[1]}, but is not there"
    append(store, "another third")
    (problem,) = judgements.verify(store, expect=noted).problems
    assert problem.startswith(f"event 3 should have hash {noted[1]}, but has hash ")
    store.close()


def test_what_was_noted_of_a_sound_log_is_found_again(store: Store) -> None:
    append(store, 1)
    with store.reading() as connection:
        noted = log.head(connection)
    append(store, 2)
    assert judgements.verify(store, expect=noted).ok


@pytest.mark.parametrize(
    ("seq", "expected"),
    [
        (1, ["event 2: follows event 0; 1 are missing", "event 2: does not follow the event before it"]),
        (2, ["event 3: follows event 1; 1 are missing", "event 3: does not follow the event before it"]),
    ],
)
def test_a_missing_row_is_found(tmp_path: Path, seq: int, expected: list[str]) -> None:
    path = tmp_path / "store.sqlite"
    store = open_store(path)
    append(store, 1, 2, 3)
    store.close()
    tamper(path, f"DELETE FROM body WHERE seq = {seq}", f"DELETE FROM event WHERE seq = {seq}")
    store = open_store(path)
    assert list(judgements.verify(store).problems) == expected
    store.close()


# any changed byte ------------------------------------------------------------------------------------------


def tamper(path: Path, *commands: str) -> None:
    """Change the file as somebody would who has it and does not stop at triggers."""
    with sqlite3.connect(path) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        for command in commands:
            raw.execute(command)
    raw.close()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which everything has happened, with no triggers left that would refuse a change."""
    path = tmp_path_factory.mktemp("sound") / "store.sqlite"
    store = open_store(path)
    study = study_of(store, "x", "y", "z", slots=2)
    anna, ben, cleo = crowd(store, 3)
    receipts = judge_all(store, study, [anna, ben])
    judgements.correct(store, seq=receipts[0].seq, person=anna, key="correction", payload={"answer": "b"})
    judgements.withdraw(store, seq=receipts[1].seq, person=ben)
    people.erase_person(store, ben, actor=cleo)
    judge_all(store, study, [cleo])
    assert judgements.verify(store).ok
    store.close()
    tamper(path)
    return path


COVERED = {
    "event": ("seq", "at", "kind", "study", "actor", "body_hash", "previous", "hash"),
    "body": ("seq", "salt", "body"),
    "judgement": ("seq", "study", "item", "slot", "part", "completes", "person", "key", "status", "supersedes", "at"),
    "slot": ("filled",),
    "item": ("study", "name", "purpose", "content"),
    "study_revision": ("study", "revision", "definition", "sha256"),
}
"""What the log speaks of, by table."""
GONE_ONCE_ERASED = ("item", "slot", "part", "completes", "key", "supersedes")


def changed(value: Any, rng: random.Random) -> Any:
    """A value with one of its bytes another one."""
    if value is None:
        return rng.choice(["x", 7])
    if isinstance(value, int):
        return value ^ (1 << rng.randrange(16))
    raw = bytearray(value.encode())
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(7)  # ASCII stays ASCII
    return raw.decode()


@pytest.fixture(scope="module")
def opened(sound: Path) -> Iterator[tuple[sqlite3.Connection, Store]]:
    """The sound store, and a way to change it behind its back."""
    raw, store = sqlite3.connect(sound, isolation_level=None), open_store(sound)
    raw.execute("PRAGMA synchronous = OFF")
    yield raw, store
    raw.close()
    store.close()


@settings(max_examples=150, deadline=None)
@given(column=st.sampled_from([(t, c) for t, cs in COVERED.items() for c in cs]), seed=st.integers(0, 2**32))
def test_a_changed_byte_is_found_wherever_it_is(
    opened: tuple[sqlite3.Connection, Store], column: tuple[str, str], seed: int
) -> None:
    (raw, store), (table, name), rng = opened, column, random.Random(seed)
    # of what was erased the log says no more than who, when and where
    where = "WHERE status != 'erased'" if table == "judgement" and name in GONE_ONCE_ERASED else ""
    rowid, value = rng.choice(raw.execute(f"SELECT rowid, {name} FROM {table} {where} ORDER BY rowid").fetchall())
    other = changed(value, rng)
    try:
        raw.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (other, rowid))
    except sqlite3.IntegrityError:
        return  # the database would not have it
    problems = judgements.verify(store).problems
    there = other if name == "seq" else rowid
    raw.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (value, there))
    assert problems, f"{table}.{name} of row {rowid} was {value!r} and became {other!r}"


def test_what_a_changed_byte_looks_like(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    shutil.copyfile(sound, path)
    with sqlite3.connect(path) as raw:
        ((seq, text),) = raw.execute(
            "SELECT seq, body FROM body JOIN event USING (seq) WHERE kind = 'judgement' LIMIT 1"
        ).fetchall()
        told = json.loads(text) | {"answer": "c"}
        raw.execute("UPDATE body SET body = ? WHERE seq = ?", (log.canonical(told), seq))
    raw.close()
    store = open_store(path)
    (problem,) = judgements.verify(store).problems
    assert re.fullmatch(rf"event {seq}: its text was changed", problem)
    store.close()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("UPDATE slot SET filled = NULL WHERE id = 1", "counts, and slot 1 does not know of it"),
        ("UPDATE slot SET filled = 1 WHERE id = 2", "slot 2: filled by event 1, which is no judgement of it"),
        ("DELETE FROM slot WHERE id = 1", "2 slots were added, 1 are there"),
        ("UPDATE judgement SET status = 'late' WHERE status = 'counted'", "its status is 'counted' by the log"),
        ("DELETE FROM judgement WHERE status = 'superseded'", "in the log and not in the table"),
        ("INSERT INTO judgement SELECT 1, study, item, NULL, part, 0, person, 'planted!', 'practice', NULL, at "
         "FROM judgement LIMIT 1", "judgement 1: in the table and not in the log"),
        ("INSERT INTO item SELECT 99, study, 'planted', purpose, NULL, content FROM item LIMIT 1", "was never added"),
        ("DELETE FROM item WHERE name = 'z'", "item 'z' of 'helpful': in the log and not in the table"),
        ("UPDATE study SET state = 'closed'", "('open', 1) by the log, ('closed', 1) in the table"),
        ("INSERT INTO study_revision SELECT study, 2, definition, sha256, at FROM study_revision",
         "revision 2 is not in the log"),
        ("DELETE FROM study_revision", "revision 1 is not what the log says"),
        ("INSERT INTO body VALUES (999, 'salt', '{}')", "event 999: a text without its event"),
    ],
)  # fmt: skip
def test_what_was_changed_in_a_table_is_told(sound: Path, tmp_path: Path, command: str, problem: str) -> None:
    path = tmp_path / "store.sqlite"
    shutil.copyfile(sound, path)
    tamper(path, command)
    store = open_store(path)
    assert [told for told in judgements.verify(store).problems if problem in told]
    store.close()
