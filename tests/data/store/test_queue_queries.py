"""The queries of a claim, one by one. What they do together: test_queue.py."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from preflab.data.store import Store, queue, queue_queries, studies
from preflab.data.store.studies import NewItem
from tests.data.store.conftest import START
from tests.data.store.made import LEASE, crowd, hand_in, study_of


def names(store: Store, query: sa.Select[Any], person: str, now: int = START) -> list[str]:
    with store.reading() as connection:
        rows = connection.execute(query, {"study": "helpful", "who": person, "now": now})
        return [row.name for row in rows]


def test_the_next_slot_is_one_that_is_free_or_expired_and_new_to_the_person(store: Store) -> None:
    study_of(store, "x", "y", slots=1)
    anna, ben = crowd(store, 2)
    assert names(store, queue_queries.next_slot(False), anna) == ["x"]
    queue.claim(store, "helpful", anna, lease_ms=LEASE)
    assert names(store, queue_queries.next_slot(False), ben) == ["y"]
    assert names(store, queue_queries.open_task(False), anna) == ["x"]
    assert names(store, queue_queries.open_task(False), ben) == []
    queue.claim(store, "helpful", ben, lease_ms=LEASE)
    (third,) = crowd(store, 1)
    assert names(store, queue_queries.next_slot(False), third) == []
    assert names(store, queue_queries.next_slot(False), third, now=START + LEASE + 1) == ["x"]


def test_gold_comes_in_order_and_once_for_each_person(store: Store) -> None:
    study_of(store, "x")
    studies.add_items(store, "helpful", [NewItem(name=n, content={}, purpose="gold") for n in ("g", "h")])
    (anna,) = crowd(store, 1)
    gold_ids = [item.id for item in studies.items_of(store, "helpful", "gold")]
    task = queue.claim(store, "helpful", anna, gold_every=1)
    assert task is not None and task.item.id == gold_ids[0]
    with store.reading() as connection:
        row = connection.execute(queue_queries.next_gold(), {"study": "helpful", "who": anna}).one()
    assert (row.id, row.number) == (gold_ids[1], 0)


def test_finished_tasks_are_counted(store: Store) -> None:
    study_of(store, "x", "y")
    (anna,) = crowd(store, 1)
    task = queue.claim(store, "helpful", anna)
    assert task is not None
    hand_in(store, task)
    with store.reading() as connection:
        assert connection.scalar(queue_queries.DONE, {"study": "helpful", "who": anna}) == 1
        assert connection.scalar(queue_queries.STATE, {"study": "helpful"}) == "open"


def test_rows_are_locked_on_postgresql_alone() -> None:
    def text(query: sa.Select[Any]) -> str:
        return str(query.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]

    assert "FOR UPDATE OF slot SKIP LOCKED" in text(queue_queries.next_slot(True))
    assert text(queue_queries.open_task(True)).endswith("FOR UPDATE OF slot")
    assert "FOR UPDATE" not in text(queue_queries.next_slot(False))
