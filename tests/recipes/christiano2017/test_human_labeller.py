"""People who answer later: pairs put up once, answers handed over once, whatever is killed when."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL", reason="needs the extra 'control' (pillow)")
pytest.importorskip("sqlalchemy", reason="needs the extra web")

from preflab.control.archive import ClipArchive
from preflab.control.clips import Clip, ClipQuery
from preflab.data.store import people as members
from preflab.data.store.judgements import judgements_of, withdraw
from preflab.data.store.open import Store, open_store
from preflab.data.store.studies import items_of
from preflab.errors import ConfigError, DataError, NotThere
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.video_store import VideoStore
from preflab.recipes.christiano2017.human_labeller import HumanClipLabeller, VideoSettings, identity_of, open_study
from tests.recipes.christiano2017.people_program import clip, paint, people

ROOT = Path(__file__).parents[3]
"""Where the package is; the killed program must find it."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "store.db")
    open_study(found, "hop", title="Hop", instructions="Right is good.")
    yield found
    found.close()


def labeller(store: Store, folder: Path, run: str = "own") -> HumanClipLabeller:
    settings = VideoSettings(renderer=paint, fps=10.0, videos=VideoStore(folder / "films"))
    return HumanClipLabeller(store, "hop", run=run, archive=ClipArchive(folder / "c"), settings=settings)


def queries(pairs: list[tuple[Clip, Clip]], step: int) -> list[ClipQuery]:
    return [ClipQuery(left, right, step) for left, right in pairs]


def somebody(store: Store) -> str:
    who = members.new_person(store)
    members.grant(store, who, "hop", "annotator")
    return who


def judge(store: Store, films: VideoStore, who: str, better: int | None = None) -> bool:
    """Judge the next pair by its films alone, as somebody at the page: the darker is better, or a tie."""
    desk = AnnotationService(store, "hop")
    screen = desk.next_task(who)
    if screen is None:
        return False
    assert screen.content.keys() == {"films"}
    shades = [len(films.read(name)) and name for name in screen.content["films"]]
    answer = "tie" if better is None else ("left" if shades[0] == NAMES[better] else "right")
    desk.submit(screen.slot, screen.lease, who, f"key-{screen.slot:09}", {"answer": answer, "seconds": "1.5"})
    return True


NAMES: dict[int, str] = {}
"""Clip -> its film, filled by `name_films`."""


def name_films(store: Store) -> None:
    for item in items_of(store, "hop"):
        NAMES.update(zip(item.content["clips"], item.content["films"], strict=True))


def test_an_answer_comes_once_in_terms_of_the_clips(store: Store, tmp_path: Path) -> None:
    own, who = labeller(store, tmp_path), somebody(store)
    assert own.answers() == []
    assert own.ask(queries([(clip(5), clip(2)), (clip(2), clip(7))], step=640)) == 2
    name_films(store)
    assert own.answers() == []
    assert judge(store, own.settings.videos, who, better=2)
    (label,) = own.answers()
    assert (label.left, label.right, label.response, label.labeller) == (5, 2, "right", who)
    assert (label.step, label.seconds) == (640, 1.5)
    assert own.answers() == []
    judge(store, own.settings.videos, who)
    assert [(found.left, found.right, found.response) for found in own.answers()] == [(2, 7, "tie")]
    assert np.array_equal(own.archive.load(5).true_reward, np.full(4, 5.0))


def test_a_study_belongs_to_one_run(store: Store, tmp_path: Path) -> None:
    """Clips are known by their numbers, which another run gives to others."""
    own, late = labeller(store, tmp_path), labeller(store, tmp_path / "late", "late")
    own.ask(queries([(clip(1), clip(2))], 0))
    for other in (lambda: labeller(store, tmp_path / "new", "new"), lambda: late.ask(queries([(clip(3), clip(4))], 0))):
        with pytest.raises(ConfigError, match=r"study 'hop' holds clips of another run.*--set study=NAME"):
            other()
    assert len(items_of(store, "hop")) == 1 and labeller(store, tmp_path).ask(queries([(clip(2), clip(1))], 9)) == 0


def test_a_run_keeps_its_identity_until_its_folder_is_gone(tmp_path: Path) -> None:
    first, other = (tmp_path / name for name in ("first", "other"))
    first.mkdir(), other.mkdir()
    assert identity_of(first) == identity_of(first) != identity_of(other)


def test_a_pair_asked_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    own = labeller(store, tmp_path)
    pairs = [(clip(1), clip(2)), (clip(3), clip(4))]
    assert (own.ask(queries(pairs, 0)), own.ask(queries(pairs, 9))) == (2, 0)
    assert labeller(store, tmp_path).ask(queries([(clip(2), clip(1)), (clip(5), clip(6)), (clip(6), clip(5))], 1)) == 1
    assert [item.content["clips"] for item in items_of(store, "hop")] == [[1, 2], [3, 4], [5, 6]]


def test_a_run_that_goes_on_from_its_checkpoint_is_handed_the_rest_anew(store: Store, tmp_path: Path) -> None:
    own, who = labeller(store, tmp_path), somebody(store)
    own.ask(queries([(clip(1), clip(2)), (clip(3), clip(4))], 0))
    judge(store, own.settings.videos, who)
    first = own.answers()
    judge(store, own.settings.videos, who)
    second = own.answers()
    assert len(first) == len(second) == 1

    again = labeller(store, tmp_path)  # killed here: the second answer was handed over and never kept
    again.mark_delivered(first)
    assert again.answers() == second and again.answers() == []
    marked = labeller(store, tmp_path)
    marked.mark_delivered([*first, *second])
    assert marked.answers() == []


def test_an_answer_taken_back_before_it_was_handed_over_is_none(store: Store, tmp_path: Path) -> None:
    own, who = labeller(store, tmp_path), somebody(store)
    own.ask(queries([(clip(1), clip(2))], 0))
    judge(store, own.settings.videos, who)
    with store.reading() as connection:
        (found,) = judgements_of(connection, "hop")
    withdraw(store, seq=found.seq, person=who)
    assert own.answers() == []
    desk = AnnotationService(store, "hop")
    screen = desk.next_task(who)  # in hand again
    assert screen is not None
    desk.submit(screen.slot, screen.lease, who, "another-key-0", {"answer": "cannot tell"})
    assert [label.response for label in own.answers()] == ["cannot tell"]


def test_somebody_who_leaves_half_way_loses_nothing(tmp_path: Path) -> None:
    now = [1_700_000_000_000]
    store = open_store(tmp_path / "s.db", clock=lambda: now[0])
    open_study(store, "hop", title="Hop", instructions="")
    own, gone, other = labeller(store, tmp_path), somebody(store), somebody(store)
    own.ask(queries([(clip(1), clip(2))], 0))
    assert AnnotationService(store, "hop").next_task(gone) is not None
    assert not judge(store, own.settings.videos, other)  # held by who left
    now[0] += 11 * 60_000
    assert judge(store, own.settings.videos, other)
    assert [label.labeller for label in own.answers()] == [other]
    store.close()


def test_clips_that_look_alike_may_be_asked(store: Store, tmp_path: Path) -> None:
    own, who = labeller(store, tmp_path), somebody(store)
    assert own.ask(queries([(clip(1), clip(257))], 0)) == 1  # the renderer shows 257 as 1
    assert judge(store, own.settings.videos, who) and own.answers()[0].response == "tie"


def test_what_belongs_to_another_run_is_refused(store: Store, tmp_path: Path) -> None:
    own = labeller(store, tmp_path)
    own.ask(queries([(clip(1), clip(2))], 0))
    other = Clip(2, *(np.zeros((4, 1)) for _ in range(2)), np.zeros(4), states=np.zeros((4, 2), np.float32))
    with pytest.raises(DataError, match="another clip is kept as 2"):
        own.ask(queries([(clip(3), other)], 0))
    longer = Clip(9, np.zeros((5, 1)), np.zeros((5, 1)), np.zeros(5))
    with pytest.raises(DataError, match="clips 1 and 9 have 4 and 5 steps"):
        own.ask(queries([(clip(1), longer)], 0))
    with pytest.raises(NotThere, match="no study 'jump'"):
        HumanClipLabeller(store, "jump", run="own", archive=own.archive, settings=own.settings)
    from preflab.data.store.studies import create_study

    create_study(store, "words", {"name": "words", "protocol": "rank"})
    with pytest.raises(ConfigError, match="has the protocol rank"):
        open_study(store, "words", title="", instructions="")


def test_nothing_is_up_before_its_films_and_clips_are_whole(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = labeller(store, tmp_path)
    replace, left = os.replace, [0]

    def killed(a: str, b: Path) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        replace(a, b)

    for writes in range(4):  # two clips and two films: killed at each of them
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killed)
            left[0] = writes if writes == 0 else 1  # what is written stays; one more each time
            with pytest.raises(KeyboardInterrupt):
                own.ask(queries([(clip(1), clip(2))], 0))
        assert items_of(store, "hop") == []
    assert own.ask(queries([(clip(1), clip(2))], 0)) == 1
    for name in items_of(store, "hop")[0].content["films"]:
        own.settings.videos.read(name)


def test_killed_again_and_again_every_answer_counts_once(store: Store, tmp_path: Path) -> None:
    pairs, rng = 14, random.Random(5)
    program = [sys.executable, str(Path(__file__).with_name("people_program.py"))]
    arguments = [str(tmp_path / "store.db"), str(tmp_path / "run"), str(pairs)]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    films, who = VideoStore(tmp_path / "films"), somebody(store)
    until, kills = time.monotonic() + 120, 0
    while time.monotonic() < until:
        running = subprocess.Popen([*program, *arguments], env=settings, stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        running.stdout.readline()  # it has begun
        for _ in range(rng.randint(0, 3)):
            judge(store, films, who)
            time.sleep(rng.uniform(0.0, 0.02))
        if kills < 4:
            running.kill()
            kills += 1
        else:
            while running.poll() is None:
                if not judge(store, films, who):
                    time.sleep(0.02)
        running.communicate()
        if running.returncode == 0:
            break
    assert running.returncode == 0 and kills == 4
    _, labels = json.loads((tmp_path / "run" / "checkpoint.json").read_text())
    assert sorted((left, right) for left, right, *_ in labels) == [(2 * k, 2 * k + 1) for k in range(pairs)]
    assert len(labels) == len(items_of(store, "hop")) == pairs
    own = people(tmp_path / "store.db", tmp_path / "run")
    assert len(own.answers()) == pairs  # all of them are in the store, too
    own.store.close()
