"""The backflip recipe at its smallest: with the judge, killed and taken up, and with people who judge meanwhile."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from preflab.control.labels import Label
from preflab.errors import ConfigError, DataError
from preflab.recipes import christiano2017_backflip as recipe
from preflab.recipes.christiano2017_backflip_loop import BackflipLoop, Journal, TurningHopper
from preflab.recipes.christiano2017_backflip_report import write_report
from preflab.recipes.christiano2017_backflip_summary import summarise
from preflab.run import Run

for _package in ("PIL", "mujoco", "gymnasium"):
    pytest.importorskip(_package, reason=f"needs the extra 'control' ({_package})")


def opened(folder: Path, config: recipe.Config) -> Run:
    return Run(folder, config, recipe="christiano2017_backflip", quiet=True, checkpoint_seconds=0.0)


def test_the_smallest_run_learns_from_twelve_labels_and_reports(tmp_path: Path) -> None:
    config = recipe.smoke()
    with opened(tmp_path / "run", config) as run:
        recipe.main(config, run)
    learned = json.loads((tmp_path / "run" / "results" / "learn.json").read_text())
    assert (learned["queries"], sum(learned["labels"].values()), learned["labellers"]) == (12, 12, ["judge"])
    assert len(list((tmp_path / "run" / "clips").glob("*.npz"))) >= 12
    assert (tmp_path / "run" / "before.gif").read_bytes() != (tmp_path / "run" / "after.gif").read_bytes()
    assert "A backflip from comparisons" in write_report(tmp_path / "run").read_text()
    assert [line[0] for line in summarise(tmp_path / "run")[:5]] == [
        "turns before", "film before", "turns after", "film after", "labels"
    ]  # fmt: skip


class Stopped(Exception):
    """A kill."""


@pytest.mark.parametrize("update", [0, 2, 4])
def test_killed_anywhere_it_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update: int
) -> None:
    config = recipe.smoke()
    with opened(tmp_path / "whole", config) as run:
        recipe.main(config, run)
    learn, ask = BackflipLoop._learn, BackflipLoop._ask
    with monkeypatch.context() as patch, opened(tmp_path / "cut", config) as run:

        def killed(self: BackflipLoop, *given: object) -> object:
            if self.updates == update:
                raise Stopped
            return (learn if given else ask)(self, *given)  # type: ignore[arg-type]

        patch.setattr(BackflipLoop, "_learn" if update != 4 else "_ask", killed)
        with pytest.raises(Stopped):
            recipe.main(config, run)
    with opened(tmp_path / "cut", config) as run:
        recipe.main(config, run)
    for name in ("answers.jsonl", "results/after.json", "after.gif", "metrics.jsonl"):
        cut, whole = ((tmp_path / which / name).read_bytes() for which in ("cut", "whole"))
        if name.endswith("after.json"):
            assert {**json.loads(cut), "seconds": 0} == {**json.loads(whole), "seconds": 0}
        else:
            assert cut == whole


def test_people_answer_while_it_runs_and_a_kill_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra web")
    from preflab.data.store import open_store, people
    from preflab.data.store.studies import items_of
    from preflab.feedback.desk import Desk

    config = replace(recipe.smoke(), labeller="people", store=str(tmp_path / "store.db"))
    store = open_store(tmp_path / "store.db")
    over = threading.Event()

    def judge() -> None:
        """Somebody who takes the film whose name is first."""
        while not items_of(store, "backflip") and not over.is_set():
            time.sleep(0.05)
        who, desk = people.new_person(store), Desk(store, "backflip")
        people.grant(store, who, "backflip", "annotator")
        while not over.is_set():
            screen = desk.next_task(who)
            if screen is None:
                time.sleep(0.02)
                continue
            better = "left" if screen.content["films"][0] < screen.content["films"][1] else "right"
            form = {"answer": better, "seconds": "3.0"}
            desk.hand_in(screen.slot, screen.lease, who, f"key-{screen.slot:09}", form)

    from preflab.recipes.christiano2017_people import open_study

    open_study(store, "backflip", title=recipe.TITLE, instructions=recipe.INSTRUCTIONS)
    monkeypatch.setattr("preflab.recipes.christiano2017_backflip_loop.sleep", lambda _: time_sleep(0.02))
    person = threading.Thread(target=judge)
    person.start()
    try:
        learn, times = BackflipLoop._learn, [0]

        def killed(self: BackflipLoop, stretch: object) -> object:
            times[0] += 1
            if times[0] == 3:  # answers of this update are in the journal, and in no checkpoint
                raise Stopped
            return learn(self, stretch)  # type: ignore[arg-type]

        with monkeypatch.context() as patch, opened(tmp_path / "run", config) as run:
            patch.setattr(BackflipLoop, "_learn", killed)
            with pytest.raises(Stopped):
                recipe.main(config, run)
        with opened(tmp_path / "run", config) as run:
            recipe.main(config, run)
    finally:
        over.set()
        person.join()
    learned = json.loads((tmp_path / "run" / "results" / "learn.json").read_text())
    labels = Journal(tmp_path / "run" / "answers.jsonl").labels()
    pairs = [(min(one.left, one.right), max(one.left, one.right)) for one in labels]
    assert learned["queries"] == 12 == len(items_of(store, "backflip"))  # none twice, none in its place
    assert 9 <= len(pairs) == len(set(pairs)) <= 12
    assert learned["labels"]["left"] + learned["labels"]["right"] == len(pairs)
    assert learned["seconds_answering"] == 3.0 * len(pairs)
    store.close()


time_sleep = time.sleep


def test_pitch_is_seen_within_half_a_turn() -> None:
    env = TurningHopper("hopper", 2)
    state = env.state()
    state["full"][:, 3] = state["full"].new_tensor([-7.0, 0.5])  # time, x, z, pitch
    env.load_state(state)
    assert env.observations[:, 1] == pytest.approx([-7.0 + 2 * np.pi, 0.5], abs=1e-5)


def test_a_journal_keeps_what_each_update_was_handed(tmp_path: Path) -> None:
    label = Label(1, 2, "tie", "ann", 640, 2.5)
    journal = Journal(tmp_path / "a.jsonl")
    journal.keep(3, [label])
    journal.keep(4, [])
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("[5, [{")  # a kill
    again = Journal(tmp_path / "a.jsonl")
    assert 3 in again and 4 in again and 5 not in again
    assert (again[3], again[4], again.labels()) == ([label], [], [label])
    (tmp_path / "a.jsonl").write_text('[1, [{"left": 1}]]\n')
    with pytest.raises(DataError, match=r"a\.jsonl:1: expected labels"):
        Journal(tmp_path / "a.jsonl")


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="judge or people"):
        replace(recipe.smoke(), labeller="oracle")
    with pytest.raises(ConfigError, match="whole multiple"):
        replace(recipe.smoke(), loop=replace(recipe.smoke().loop, stretch=70))
