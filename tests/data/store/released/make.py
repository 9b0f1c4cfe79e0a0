"""Write the SQL of a store of the newest schema, with something of everything in it; run once for each release.

    python -m tests.data.store.released.make

Two files come of it, ``<number>.sqlite.sql`` and ``<number>.postgres.sql``. They are never made again once the schema
is released: what was released is what must be upgraded.
"""

import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from preflab.data.store import Store, conversation, judgements, open_store, people, queue, studies
from preflab.data.store.open import NEWEST
from preflab.data.store.studies import NewItem
from tests.postgres import Postgres, binaries

HERE = Path(__file__).parent


def fill(store: Store) -> None:
    """Something of everything: roles, tokens, judgements of each status, a conversation, somebody erased."""
    owner = people.new_person(store, name="Olga", password="hashed")
    people.grant(store, owner, people.EVERY, "owner")
    people.issue_token(store, "invite", study="helpful", days=30.0, uses=5, actor=owner)
    studies.create_study(store, "helpful", {"protocol": "pairs"}, actor=owner)
    studies.revise_study(store, "helpful", {"protocol": "pairs", "slots": 2}, actor=owner)
    items = [NewItem(name=f"item {n}", content={"n": n, "text": "é\x00"}, slots=2, repeat=n == 0) for n in range(6)]
    items += [NewItem(name="gold", content={}, purpose="gold"), NewItem(name="try", content={}, purpose="practice")]
    studies.add_items(store, "helpful", items, actor=owner)
    anna, ben, cleo = (people.new_person(store) for _ in range(3))
    for who in (anna, ben, cleo):
        people.consent(store, who, "helpful", 2, "I agree")
    judgements.submit_practice(store, study="helpful", item_id=9, person=anna, key="practice", payload={"answer": "a"})
    first = judged(store, anna)
    judgements.correct(store, seq=first, person=anna, key="correction", payload={"answer": "b"})
    judgements.discard(store, seq=judged(store, anna), actor=owner, reason="an accident")
    judged(store, anna, lease_ms=-1)  # late
    judged(store, ben)
    judged(store, cleo)
    people.erase_person(store, cleo, actor=owner)
    task = queue.claim(store, "helpful", ben)
    assert task is not None
    told = {"slot_id": task.slot, "lease": task.lease, "person": ben, "text": "Hello", "key": "message"}
    conversation.begin_turn(store, **told, policies=["p", "q"])  # type: ignore[arg-type]
    job = conversation.take_job(store, "worker")
    assert job is not None
    conversation.finish_reply(store, job.reply, "worker", "Hi.", {"tokens": 2})


def judged(store: Store, who: str, *, lease_ms: int = 1_800_000) -> int:
    """Take the next task and judge it; the number of the event."""
    task = queue.claim(store, "helpful", who, lease_ms=lease_ms)
    assert task is not None
    names = {"study": "helpful", "slot_id": task.slot, "lease": task.lease, "person": who, "key": f"key-{task.lease}"}
    return judgements.submit(store, **names, payload={"answer": "a"}).seq  # type: ignore[arg-type]


def write(where: str, dump: Callable[[], str], to: Path) -> None:
    """Make a store, fill it, and write down what a dump says."""
    store = open_store(where)
    fill(store)
    assert judgements.verify(store).ok
    store.close()
    to.write_text(dump())


def main() -> None:
    """Write both files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite"

        def of_sqlite() -> str:
            with sqlite3.connect(path) as raw:
                text = "\n".join(raw.iterdump()) + "\n"
            raw.close()
            return text

        write(str(path), of_sqlite, HERE / f"{NEWEST}.sqlite.sql")
    server = Postgres()
    try:
        url = server.fresh()

        def of_postgres() -> str:
            command = [f"{binaries()}/pg_dump", "--inserts", "--no-owner", "--no-privileges", url]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            # neither psql's own commands nor what only this server's version knows
            kept = [line for line in text.splitlines() if line and not line.startswith(("--", "\\", "SET "))]
            return "\n".join(kept) + "\n"

        write(url, of_postgres, HERE / f"{NEWEST}.postgres.sql")
    finally:
        server.close()


if __name__ == "__main__":
    main()
