"""Claims per second, and claims of one slot by two: ours against select-then-update.

Worker processes, as many as real servers would run, take the slots of one study until none is left; one transaction a
claim, each for another person. The rival is what annotation tools do: look for a free slot, then write a name there.
After the race each slot is looked at: who holds it, and how many were told that they do.

    python -m benchmarks.claims --slots 10000
    python -m benchmarks.claims --url postgresql://postgres@/claims
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.common import command, machine, say
from preflab.data.store import Store, judgements, open_store, queue, studies
from preflab.data.store.schema import person, slot
from preflab.data.store.studies import NewItem

STUDY = "race"
Claim = Callable[[Store, str], int | None]
"""Takes a slot for somebody; None when none is left."""


def main() -> None:
    """Race the contestants at each number of processes, in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a PostgreSQL database that may be emptied; else SQLite")
    parser.add_argument("--folder", type=Path, help="where SQLite's files are made; else the system's place")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--slots", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    options = parser.parse_args()
    fsync = {} if options.url else {"fsync_ms": _fsync_ms(options.folder)}
    say(machine=machine() | fsync)
    for processes in options.processes:
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in options.contestants}
        for repeat in range(options.repeats):
            for name in list(runs)[:: 1 if repeat % 2 == 0 else -1]:
                runs[name].append(_race(name, processes, options))
        for name, found in runs.items():
            _report(name, processes, options, found)


def _report(name: str, processes: int, options: argparse.Namespace, found: list[dict[str, float]]) -> None:
    told = {what: [round(run[what], 2) for run in found] for what in found[0]}
    say(
        question="claims",
        contestant=name,
        database="postgresql" if options.url else "sqlite",
        processes=processes,
        slots=options.slots,
        median_per_second=round(statistics.median(told["per_second"]), 1),
        **told,
        load=[round(x, 2) for x in os.getloadavg()],
        command=command(),
    )


def _race(name: str, processes: int, options: argparse.Namespace) -> dict[str, float]:
    """One contestant, once: what its workers were told, against what the store holds afterwards."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        where = options.url or str(Path(folder) / "store.sqlite")
        _fill(where, options.slots, 2 * options.slots)
        context = multiprocessing.get_context("fork")  # nothing is open: a spawned one would import torch
        ready, told = context.Barrier(processes + 1), context.Queue()
        people = [[f"p-{n}" for n in range(first, 2 * options.slots, processes)] for first in range(processes)]
        workers = [context.Process(target=_work, args=(name, where, some, ready, told)) for some in people]
        for worker in workers:
            worker.start()
        ready.wait()
        start = time.perf_counter()
        answers = [told.get() for _ in workers]
        seconds = time.perf_counter() - start
        before = _cpu_of_children()
        for worker in workers:
            worker.join()
        cpu = _cpu_of_children() - before
        claims = Counter(number for answer in answers for number, _ in answer)
        waits = sorted(1000 * wait for answer in answers for _, wait in answer)
        store = open_store(where)
        with store.reading() as connection:
            held = connection.scalar(sa.select(sa.func.count()).where(slot.c.holder.is_not(None)))
        store.close()
    return {
        "per_second": sum(claims.values()) / seconds,
        "per_cpu_second": sum(claims.values()) / cpu,
        "told_twice": sum(n - 1 for n in claims.values()),
        "never_told": options.slots - len(claims),
        "not_held": options.slots - (held or 0),
        "median_ms": statistics.median(waits),
        "p99_ms": waits[int(0.99 * (len(waits) - 1))],
        "longest_ms": waits[-1],
    }


def _cpu_of_children() -> float:
    """Of those that were waited for: what a busy machine cannot stretch."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _fill(where: str, slots: int, persons: int) -> None:
    store = open_store(where)
    if store.is_postgres:
        with store.writing() as connection:
            connection.execute(sa.text("TRUNCATE event, person, study, item, slot RESTART IDENTITY CASCADE"))
    studies.create_study(store, STUDY, {})
    studies.add_items(store, STUDY, (NewItem(name=f"item {n}", content={"n": n}) for n in range(slots)))
    with store.writing() as connection:
        connection.execute(sa.insert(person), [{"id": f"p-{n}", "created": 0} for n in range(persons)])
    store.close()


def _work(name: str, where: str, persons: Sequence[str], ready: Any, told: Any) -> None:
    store, claim = open_store(where), CONTESTANTS[name]
    found: list[tuple[int, float]] = []
    ready.wait()
    for who in persons:
        start = time.perf_counter()
        number = claim(store, who)
        if number is None:
            break
        found.append((number, time.perf_counter() - start))
    store.close()
    told.put(found)


def _ours(store: Store, who: str) -> int | None:
    task = queue.claim(store, STUDY, who)
    return None if task is None else task.slot


def _ours_with_vote(store: Store, who: str) -> int | None:
    """Claimed and judged: two transactions, of which the second waits for the disk."""
    task = queue.claim(store, STUDY, who)
    if task is None:
        return None
    told = {"study": STUDY, "slot_id": task.slot, "lease": task.lease, "person": who, "key": f"key-{task.lease}"}
    assert judgements.submit(store, **told, payload={"answer": "a"}).status == "counted"  # type: ignore[arg-type]
    return task.slot


_FREE = sa.select(slot.c.id).where(slot.c.holder.is_(None)).order_by(slot.c.position).limit(1)
_NAME = (
    sa.update(slot)
    .where(slot.c.id == sa.bindparam("which"))
    .values(holder=sa.bindparam("who"), lease=sa.bindparam("proof"))
)


def _select_then_update(store: Store, who: str) -> int | None:
    with store.reading() as connection:
        number = connection.scalar(_FREE)
    if number is None:
        return None
    with store.writing(durable=False) as connection:
        connection.execute(_NAME, {"which": number, "who": who, "proof": who})
    return int(number)


CONTESTANTS: dict[str, Claim] = {
    "preflab": _ours,
    "preflab, with a vote": _ours_with_vote,
    "select then update": _select_then_update,
}


def _fsync_ms(folder: Path | None) -> float:
    """What the disk takes to keep one page: no more transactions a second than 1000 / this can be durable."""
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        for _ in range(20):
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    return round(1000 * (time.perf_counter() - start) / 20, 3)


if __name__ == "__main__":
    main()
