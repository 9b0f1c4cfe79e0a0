"""The tables held against the log: what stands in them must be what the events say.

The chain of hashes covers the log alone. Judgements, items and definitions are kept in tables too, so that they can be
asked for; a byte changed there would change an export as well.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from preflab.data.store import log
from preflab.data.store.schema import item, judgement, slot, study, study_revision

_PLACE = ("item", "slot", "part", "completes", "key", "supersedes")


def judgement_faults(connection: Connection, statuses: Mapping[int, str]) -> Iterator[str]:
    """Judgements that are not what their events say.

    Args:
        statuses: of every judgement, by the log alone.
    """
    rows = {row.seq: row for row in connection.execute(sa.select(judgement))}
    for happened in log.events(connection, kind="judgement"):
        row = rows.pop(happened.seq, None)
        if row is None:
            yield f"judgement {happened.seq}: in the log and not in the table"
            continue
        logged: dict[str, Any] = {"study": happened.study, "person": happened.actor, "at": happened.at}
        logged["status"] = statuses.get(happened.seq)
        if happened.body is not None:
            logged |= {name: happened.body["place"].get(name) for name in _PLACE}
        yield from _differences(f"judgement {happened.seq}", logged, row)
    for seq in rows:
        yield f"judgement {seq}: in the table and not in the log"


def _differences(label: str, logged: Mapping[str, Any], row: Any) -> Iterator[str]:
    for name, value in logged.items():
        in_table = getattr(row, name)
        if in_table != value:
            yield f"{label}: its {name} is {value!r} by the log and {in_table!r} in the table"


def slot_faults(connection: Connection) -> Iterator[str]:
    """Slots that are filled by no judgement of theirs, and judgements that count and fill no slot."""
    same = (judgement.c.seq == slot.c.filled) & (judgement.c.slot == slot.c.id) & (judgement.c.item == slot.c.item)
    same &= (judgement.c.person == slot.c.holder) & judgement.c.status.in_(("counted", "erased"))
    filled = sa.select(slot.c.id, slot.c.filled).where(slot.c.filled.is_not(None), ~sa.exists().where(same))
    for number, seq in connection.execute(filled.order_by(slot.c.id)):
        yield f"slot {number}: filled by event {seq}, which is no judgement of it that counts"
    counted = (judgement.c.status == "counted") & (judgement.c.completes == 1)
    alone = sa.select(judgement.c.seq, judgement.c.slot).where(counted, ~sa.exists().where(same))
    for seq, number in connection.execute(alone.order_by(judgement.c.seq)):
        yield f"judgement {seq}: counts, and slot {number} does not know of it"


def item_faults(connection: Connection) -> Iterator[str]:
    """Items that are not what was added, or have lost slots."""
    rows = {row.id: row for row in connection.execute(sa.select(item).order_by(item.c.id))}
    count = sa.select(slot.c.item, sa.func.count()).group_by(slot.c.item)
    slots = Counter({row[0]: row[1] for row in connection.execute(count)})
    added: dict[tuple[str | None, str], tuple[str, int, str]] = {}
    for happened in log.events(connection, kind="items.added"):
        for name, purpose, number, digest in (happened.body or {}).get("items", []):
            added[happened.study, name] = purpose, number, digest
    for row in rows.values():
        first = row if row.repeats is None else rows.get(row.repeats)
        name = row.name if row.repeats is None else row.name.removesuffix(" (again)")
        in_log = added.get((row.study, name))
        if in_log is None or first is None or (first.study, first.name) != (row.study, name):
            yield f"item {row.id}: {row.name!r} of {row.study!r} was never added"
            continue
        purpose, number, digest = in_log
        if (row.purpose, log.sha256(row.content)) != (purpose, digest):
            yield f"item {row.id}: {row.name!r} is not what was added"
        if purpose == "main" and slots[row.id] != number:
            yield f"item {row.id}: {number} slots were added, {slots[row.id]} are there"
    in_table = {(row.study, row.name) for row in rows.values()}
    for of, name in sorted(added.keys() - in_table, key=str):
        yield f"item {name!r} of {of!r}: in the log and not in the table"


def study_faults(connection: Connection) -> Iterator[str]:
    """Studies whose state or definitions are not what the log says."""
    definitions = {(row.study, row.revision): row for row in connection.execute(sa.select(study_revision))}
    latest: dict[str | None, tuple[str, int]] = {}
    for happened in log.events(connection):
        payload = happened.body or {}
        if happened.kind in ("study.created", "study.revised"):
            state = latest.get(happened.study, ("open", 0))[0]
            latest[happened.study] = state, payload["revision"]
            row = definitions.pop((happened.study or "", payload["revision"]), None)
            text = log.canonical(payload["definition"])
            if row is None or (row.definition, row.sha256) != (text, log.sha256(text)):
                yield f"study {happened.study!r}: revision {payload['revision']} is not what the log says"
        elif happened.kind == "study.state":
            latest[happened.study] = payload["state"], latest[happened.study][1]
    for name, revision in definitions:
        yield f"study {name!r}: revision {revision} is not in the log"
    in_table = {row.name: (row.state, row.revision) for row in connection.execute(sa.select(study))}
    for name in sorted(in_table.keys() | latest.keys(), key=str):
        if in_table.get(name) != latest.get(name):
            yield f"study {name!r}: {latest.get(name)} by the log, {in_table.get(name)} in the table"
