"""Many processes at one store, and processes that die: no slot twice, none lost, nothing acknowledged is lost."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from preflab.data.store import judgements, open_store, queue
from preflab.data.store.schema import judgement, person, slot
from tests.data.store import racing
from tests.data.store.made import crowd, faults, rows, study_of


def race_for_slots(url: str, folder: Path, *, slots: int, processes: int) -> None:
    store = open_store(url)
    study = study_of(store, *(f"item {n}" for n in range(slots)))
    persons = [f"p-{n}" for n in range(slots + 5 * processes)]  # more than slots, so that each process meets the end
    with store.writing() as connection:
        connection.execute(sa.insert(person), [{"id": who, "created": 0} for who in persons])
    shares = [persons[n::processes] for n in range(processes)]
    finished = racing.start(
        racing.claim_all, *((url, study, share, str(folder / f"{n}.txt")) for n, share in enumerate(shares))
    )
    racing.finish(finished)
    told = [line.split() for path in folder.glob("*.txt") for line in path.read_text().splitlines()]
    assert max(Counter(number for number, _ in told).values()) == 1  # no slot twice
    assert len(told) == slots  # none lost
    held = {(str(row["id"]), row["holder"]) for row in rows(store, slot)}
    assert held == {(number, person) for number, person in told}
    assert queue.progress(store, study).held == slots
    assert faults(store) == ()
    store.close()


def test_eight_processes_claim_every_slot_once(url: str, tmp_path: Path) -> None:
    race_for_slots(url, tmp_path, slots=400, processes=8)


@pytest.mark.slow
def test_sixteen_processes_claim_ten_thousand_slots_once(url: str, tmp_path: Path) -> None:
    race_for_slots(url, tmp_path, slots=10_000, processes=16)


def die_while_judging(url: str, folder: Path, *, items: int, people: int, seed: int, lives: tuple[float, float]) -> int:
    """Everybody judges every item, in processes that are killed at random and begun again; how many were killed.

    Args:
        lives: the shortest and longest life of a process, in seconds.
    """
    store, rng = open_store(url), random.Random(seed)
    study = study_of(store, *(f"item {n}" for n in range(items)), slots=people)
    persons = crowd(store, people)
    kills = 0

    def begin(n: int) -> tuple[racing.BaseProcess, float]:
        arguments = (url, study, persons[n], str(folder / f"{n}.txt"), rng.randrange(2**32))
        (process,) = racing.start(racing.judge_for_ever, arguments)
        return process, time.monotonic() + rng.uniform(*lives) + 0.03 * kills

    running = {n: begin(n) for n in range(people)}
    deadline = time.monotonic() + 300
    try:
        while running and time.monotonic() < deadline:
            time.sleep(0.005)
            for n, (process, until) in list(running.items()):
                if process.exitcode is not None:
                    assert process.exitcode == 0
                    del running[n]
                elif time.monotonic() > until:
                    process.kill()  # SIGKILL
                    process.join()
                    kills += 1
                    running[n] = begin(n)
    finally:
        for process, _ in running.values():
            process.kill()
    assert not running, "they never got through"
    told = [line.split() for path in folder.glob("*.txt") for line in path.read_text().splitlines()]
    kept = {(str(row["seq"]), str(row["slot"]), row["person"], row["status"]) for row in rows(store, judgement)}
    assert {tuple(line) for line in told} <= kept  # whatever was acknowledged is there
    assert judgements.counts(store, study) == {"counted": items * people}
    assert queue.progress(store, study).filled == items * people
    assert faults(store) == ()
    assert judgements.verify(store).ok
    store.close()
    return kills


def test_killed_at_any_moment_they_lose_nothing_that_was_acknowledged(url: str, tmp_path: Path) -> None:
    assert die_while_judging(url, tmp_path, items=25, people=4, seed=1, lives=(0.1, 0.5)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_over_and_over_they_lose_nothing_that_was_acknowledged(url: str, tmp_path: Path, seed: int) -> None:
    assert die_while_judging(url, tmp_path, items=300, people=8, seed=seed, lives=(0.05, 0.6)) >= 50
