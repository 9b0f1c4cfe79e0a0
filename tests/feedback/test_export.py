"""Exports: the same query up to the same event gives the same bytes; what a format cannot hold is counted."""

import hashlib
import json
from pathlib import Path

import pytest

from preflab.data.load import load_comparisons
from preflab.data.store import Store
from preflab.data.store.judgements import verify
from preflab.errors import ConfigError, NotThere
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.export import FORMATS, export
from tests.feedback.conftest import Clock, judge, make, somebody
from tests.feedback.test_judged_comparisons import STUDY


@pytest.fixture
def judged(store: Store) -> Store:
    make(store, STUDY)
    judge(store, somebody(store), "first", key="key-000001", strength=2)
    judge(store, somebody(store), "tie", key="key-000002")
    return store


@pytest.mark.parametrize("format", FORMATS)
def test_bytes_are_equal_each_time_whatever_comes_later(judged: Store, format: str, tmp_path: Path) -> None:
    first = export(judged, "s", format)
    event = first.manifest["horizon"]["event"]
    make(judged, "name: later\nprotocol: rank\n")
    again = export(judged, "s", format, up_to=event)
    assert (again.text, again.manifest) == (first.text, first.manifest)
    path = again.write(tmp_path / "out")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == first.manifest["sha256"]
    manifest = json.loads((tmp_path / "out" / f"{path.name}.manifest").read_text())
    assert verify(judged, expect=(manifest["horizon"]["event"], manifest["horizon"]["hash"])).ok


def test_ours_keeps_ties_and_others_count_them(judged: Store, tmp_path: Path) -> None:
    ours = export(judged, "s")
    assert ours.manifest["records"] == 2 and ours.manifest["left_out"] == {}
    for format in ("hh", "trl", "ultrafeedback"):
        made = export(judged, "s", format)
        assert made.manifest["records"] == 1 and made.manifest["left_out"] == {"a tie": 1}
        (back,) = load_comparisons(made.write(tmp_path / format)).comparisons
        assert back.best() == ("first",)
        for line in made.text.splitlines():
            assert json.loads(line)["chosen"] != json.loads(line)["rejected"]


def test_everything_is_in_the_raw_form(judged: Store) -> None:
    rows = [json.loads(line) for line in export(judged, "s", "judgements").text.splitlines()]
    assert {row["answer"]["strength"] for row in rows} == {0, 2}
    assert all(row["shown"] and row["revision"] == 1 and row["annotator"].startswith("p-") for row in rows)


def test_an_answer_after_its_lease_is_in_the_raw_form_and_counted_in_the_others(store: Store, clock: Clock) -> None:
    make(store, STUDY)
    judge(store, somebody(store), "first", key="key-000001", strength=2)
    service, person = AnnotationService(store, "s"), somebody(store)
    task = service.next_task(person)
    assert task is not None
    clock.minutes(24 * 60)
    receipt = service.submit(task.slot, task.lease, person, "key-000003", {"scale": "1"}).receipt
    assert receipt.status == "late"
    raw = export(store, "s", "judgements")
    assert [json.loads(line)["place"]["status"] for line in raw.text.splitlines()] == ["counted", "late"]
    assert (raw.manifest["judgements"], raw.manifest["records"], raw.manifest["left_out"]) == (1, 2, {})
    ours = export(store, "s")
    assert (ours.manifest["records"], ours.manifest["left_out"]) == (1, {"came after its lease had ended": 1})


def test_what_is_not_there_is_named(judged: Store) -> None:
    with pytest.raises(ConfigError, match="unknown format 'csv'"):
        export(judged, "s", "csv")
    with pytest.raises(NotThere, match="no study 'z'"):
        export(judged, "z")
    with pytest.raises(NotThere, match="no event 999"):
        export(judged, "s", up_to=999)
