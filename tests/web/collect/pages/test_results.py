"""What the page of results works out, for every protocol, from nothing on."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from preflab.data.store import Store, conversation, open_store, people
from preflab.data.store.studies import add_items, create_study
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.protocols import EXAMPLES
from preflab.feedback.study import parse_study
from preflab.web.collect.pages.results import compute_results, latest_results

RANK = """
name: s
protocol: rank
slots: 3
items:
  - {prompt: q, replies: [a, b], policies: [new, old]}
  - {prompt: r, replies: [a, b], policies: [new, old]}
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = open_store(tmp_path / "store.db")
    yield found
    found.close()


def make(store: Store, text: str) -> AnnotationService:
    file = parse_study(text)
    create_study(store, file.definition.name, file.definition.to_json())
    add_items(store, file.definition.name, file.items)
    return AnnotationService(store, file.definition.name)


def rows(store: Store, desk: AnnotationService, title: str) -> tuple[tuple[str, ...], ...]:
    found = compute_results(store, desk.study, desk.definition)
    return next(table.rows for table in found.tables if table.title == title)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_study_without_judgements_has_empty_tables(store: Store, name: str) -> None:
    desk = make(store, EXAMPLES[name])
    found = compute_results(store, desk.study, desk.definition)
    assert found.plots == () and all(table.rows == () for table in found.tables)


def test_ranking_shows_people_agreement_and_standings(store: Store) -> None:
    desk = make(store, RANK)
    for n in range(3):
        who = people.new_person(store)
        for k in range(2):
            screen = desk.next_task(who)
            assert screen is not None
            better = "b" if n == 2 and k == 1 else "a"  # one of six votes is for the other one
            point = "-1" if screen.content["replies"][0] == better else "1"
            desk.submit(screen.slot, screen.lease, who, f"key-{n}-{k}-000", {"scale": point})
    assert [row[1] for row in rows(store, desk, "Annotators")] == ["2", "2", "2"]
    (preference, *_) = rows(store, desk, "Agreement")
    assert preference[:3] == ("preference", "all", "nominal") and preference[4].startswith("67 %")  # 4 of 6 pairs
    assert [row[0] for row in rows(store, desk, "Policies")] == ["new", "old"]
    pictures = compute_results(store, "s", desk.definition).plots
    assert len(pictures) == 4
    for picture in pictures:
        svg = base64.b64decode(picture.source.partition(",")[2]).decode()
        assert svg.lstrip().startswith("<svg") or "<svg" in svg[:400]
        assert "<script" not in svg and "style=" not in svg


def test_rules_and_questions_have_tables_of_their_own(store: Store) -> None:
    desk, who = make(store, EXAMPLES["rule-judge"]), people.new_person(store)
    screen = desk.next_task(who)
    assert screen is not None
    desk.submit(screen.slot, screen.lease, who, "key-000001", {"rating": "1"})
    assert rows(store, desk, "Rules")[0][0] == "not_human" and rows(store, desk, "Rules")[0][1].startswith("100 %")
    desk = make(store, EXAMPLES["questions"])
    screen = desk.next_task(who)
    assert screen is not None
    desk.conversation.send(screen.slot, screen.lease, who, "key-000002", "help me")
    job = conversation.take_job(store, "w")
    assert job is not None and conversation.finish_reply(store, job.reply, "w", "carbon dioxide", {})
    desk.submit(screen.slot, screen.lease, who, "key-000003", {"choice": "2", "confidence": "80"})
    ((name, right, sure, error, *_),) = rows(store, desk, "Questions")
    assert (name, sure, error) == ("with help", "80 %", "20.0 points") and right.startswith("100 %")


def test_results_are_worked_out_anew_only_when_something_happened(store: Store) -> None:
    desk = make(store, RANK)
    first = latest_results(store, "s", desk.definition)
    assert latest_results(store, "s", desk.definition) is first
    people.new_person(store)
    assert latest_results(store, "s", desk.definition) is not first
