"""The backflip recipe at its smallest: with the judge, killed and taken up, and with people who judge meanwhile."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from preflab.control.preference_loop import PreferenceLoop
from preflab.control.reward_learner import RewardLearner
from preflab.control.rewards.label_log import LabelLog
from preflab.recipes.christiano2017 import backflip as recipe
from preflab.recipes.christiano2017.backflip.config import INSTRUCTIONS, TITLE
from preflab.recipes.christiano2017.backflip.report import summarise, write_report
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
        "turns before", "video before", "turns after", "video after", "labels"
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
    improve, ask = PreferenceLoop._improve, RewardLearner._ask
    with monkeypatch.context() as patch, opened(tmp_path / "cut", config) as run:

        def improve_until(self: PreferenceLoop, *trajectory: Any) -> Any:
            if self.rounds == update + 1:  # the round's answers are in the log, and in no checkpoint
                raise Stopped
            return improve(self, *trajectory)

        def ask_until(self: RewardLearner) -> Any:
            if self.rounds == update:
                raise Stopped
            return ask(self)

        if update == 4:
            patch.setattr(RewardLearner, "_ask", ask_until)
        else:
            patch.setattr(PreferenceLoop, "_improve", improve_until)
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
    from preflab.feedback.annotation.annotation_service import AnnotationService

    config = replace(recipe.smoke(), labeller="human", store=str(tmp_path / "store.db"))
    store = open_store(tmp_path / "store.db")
    over = threading.Event()

    def judge() -> None:
        """Somebody who takes the film whose name is first."""
        while not items_of(store, "backflip") and not over.is_set():
            time.sleep(0.05)
        who, desk = people.new_person(store), AnnotationService(store, "backflip")
        people.grant(store, who, "backflip", "annotator")
        while not over.is_set():
            screen = desk.next_task(who)
            if screen is None:
                time.sleep(0.02)
                continue
            better = "left" if screen.content["films"][0] < screen.content["films"][1] else "right"
            form = {"answer": better, "seconds": "3.0"}
            desk.submit(screen.slot, screen.lease, who, f"key-{screen.slot:09}", form)

    from preflab.recipes.christiano2017.human_labeller import open_study

    open_study(store, "backflip", title=TITLE, instructions=INSTRUCTIONS)
    monkeypatch.setattr("preflab.control.reward_learner.sleep", lambda _: time_sleep(0.02))
    person = threading.Thread(target=judge)
    person.start()
    try:
        improve, times = PreferenceLoop._improve, [0]

        def killed(self: PreferenceLoop, *trajectory: Any) -> Any:
            times[0] += 1
            if times[0] == 3:  # answers of this round are in the log, and in no checkpoint
                raise Stopped
            return improve(self, *trajectory)

        with monkeypatch.context() as patch, opened(tmp_path / "run", config) as run:
            patch.setattr(PreferenceLoop, "_improve", killed)
            with pytest.raises(Stopped):
                recipe.main(config, run)
        with opened(tmp_path / "run", config) as run:
            recipe.main(config, run)
    finally:
        over.set()
        person.join()
    learned = json.loads((tmp_path / "run" / "results" / "learn.json").read_text())
    labels = LabelLog(tmp_path / "run" / "answers.jsonl").labels()
    pairs = [(min(one.left, one.right), max(one.left, one.right)) for one in labels]
    assert learned["queries"] == 12 == len(items_of(store, "backflip"))  # none twice, none in its place
    assert 9 <= len(pairs) == len(set(pairs)) <= 12
    assert learned["labels"]["left"] + learned["labels"]["right"] == len(pairs)
    assert learned["seconds_answering"] == 3.0 * len(pairs)
    store.close()


time_sleep = time.sleep
