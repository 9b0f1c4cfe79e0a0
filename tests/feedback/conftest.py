"""A store in a file, with a clock that is turned by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from preflab.data.store import Store, open_store, people
from preflab.data.store.studies import add_items, create_study
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.study import StudyFile, parse_study


@dataclass
class Clock:
    """Milliseconds."""

    now: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now

    def minutes(self, n: float) -> None:
        self.now += round(n * 60_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    found = open_store(tmp_path / "store.db", clock=clock)
    yield found
    found.close()


def make(store: Store, text: str) -> StudyFile:
    """A study in the store, from YAML."""
    file = parse_study(text)
    create_study(store, file.definition.name, file.definition.to_json())
    if file.items:
        add_items(store, file.definition.name, file.items)
    return file


def somebody(store: Store, study: str = "s") -> str:
    """A new annotator."""
    who = people.new_person(store)
    people.grant(store, who, study, "annotator")
    return who


def judge(store: Store, who: str, better: str, *, key: str, strength: int = 1) -> int:
    """Prefer one reply by name, wherever it stands; 'tie' for neither."""
    desk = AnnotationService(store, "s")
    screen = desk.next_task(who)
    assert screen is not None
    point = 0 if better == "tie" else strength if screen.content["replies"][1] == better else -strength
    return desk.submit(screen.slot, screen.lease, who, key, {"scale": str(point)}).receipt.seq
