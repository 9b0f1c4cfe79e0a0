"""Which slot comes next: the queries of a claim, built once, for building one takes longer than running it.

Parameters: ``who`` (pseudonym), ``study``, ``now`` (milliseconds since 1970).
"""

from functools import cache
from typing import Any

import sqlalchemy as sa

from preflab.data.store.schema import item, judgement, slot, study

_WHO: sa.BindParameter[Any] = sa.bindparam("who")
_STUDY: sa.BindParameter[Any] = sa.bindparam("study")
_NOW: sa.BindParameter[Any] = sa.bindparam("now")
_COLUMNS = (
    *(slot.c.id, slot.c.study, slot.c.item, slot.c.number, slot.c.holder, slot.c.lease, slot.c.expires, slot.c.filled),
    *(item.c.name, item.c.purpose, item.c.content, item.c.repeats),
)

STATE = sa.select(study.c.state).where(study.c.name == _STUDY)
DONE = (
    sa.select(sa.func.count())
    .select_from(slot)
    .where(slot.c.study == _STUDY, slot.c.holder == _WHO, slot.c.filled.is_not(None))
)
TAKE = (
    sa.update(slot)
    .where(slot.c.id == sa.bindparam("which"), slot.c.filled.is_(None))
    .values(holder=sa.bindparam("taker"), lease=sa.bindparam("proof"), expires=sa.bindparam("until"))
)
"""Parameters: ``which`` slot (its id), ``taker``, ``proof`` (the lease), ``until``."""


def with_item() -> sa.Select[Any]:
    """Slots with what they are about."""
    return sa.select(*_COLUMNS).join_from(slot, item, item.c.id == slot.c.item)


def _locked(query: sa.Select[Any], postgres: bool, *, wait: bool = False) -> sa.Select[Any]:
    """Lock the rows of a query; wait for those that others have locked, or pass over them. SQLite needs neither."""
    return query.with_for_update(skip_locked=not wait, of=slot) if postgres else query


@cache
def open_task(postgres: bool) -> sa.Select[Any]:
    """The task that the person has in hand. Whoever has locked it is handing it in: it is waited for."""
    where = (slot.c.study == _STUDY) & (slot.c.holder == _WHO) & slot.c.filled.is_(None)
    return _locked(with_item().where(where), postgres, wait=True)


@cache
def next_slot(postgres: bool) -> sa.Select[Any]:
    """The first slot that is free or expired."""
    order = (slot.c.expires, slot.c.position)  # free ones first: their 0 is before every time
    return _locked(_free().order_by(*order).limit(1), postgres)


@cache
def next_repeat(postgres: bool) -> sa.Select[Any]:
    """The first slot that repeats something of theirs."""
    return _locked(_free().where(item.c.repeats.is_not(None)).order_by(slot.c.position).limit(1), postgres)


@cache
def next_gold() -> sa.Select[Any]:
    """The first gold item that they have not seen, and the number of its next slot."""
    held = sa.exists().where((slot.c.item == item.c.id) & (slot.c.holder == _WHO))
    judged = sa.exists().where((judgement.c.item == item.c.id) & (judgement.c.person == _WHO))
    last = sa.select(sa.func.max(slot.c.number)).where(slot.c.item == item.c.id).scalar_subquery()
    query = sa.select(item.c.id, (sa.func.coalesce(last, -1) + 1).label("number"))
    return query.where(item.c.study == _STUDY, item.c.purpose == "gold", ~held, ~judged).order_by(item.c.id).limit(1)


def _free() -> sa.Select[Any]:
    """Slots that are nobody's, of items that the person neither holds nor has judged.

    An answer that came after its lease does not count, so the item is offered again, to the same person too.
    Of repeats those alone whose first showing they have judged.
    """
    held, first = slot.alias(), judgement.alias()
    holds = sa.exists().where((held.c.item == slot.c.item) & (held.c.holder == _WHO))
    in_time = (judgement.c.item == slot.c.item) & (judgement.c.person == _WHO) & (judgement.c.status != "late")
    judged = sa.exists().where(in_time)
    judged_before = (first.c.item == item.c.repeats) & (first.c.person == _WHO) & (first.c.status == "counted")
    repeats = item.c.repeats.is_(None) | sa.exists().where(judged_before)
    free = (slot.c.study == _STUDY) & slot.c.filled.is_(None) & (slot.c.expires < _NOW)
    return with_item().where(free, ~holds, ~judged, repeats)
