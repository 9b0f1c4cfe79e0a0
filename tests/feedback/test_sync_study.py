"""Bringing a study up to date with its file: nothing twice, nothing in silence, nothing half."""

import pytest

from preflab.data.store import Store
from preflab.data.store.studies import find_study, items_of
from preflab.errors import DataError, StudyError
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.study import parse_study
from preflab.feedback.sync_study import sync_study
from tests.feedback.conftest import somebody


def text(*items: str, more: str = "") -> str:
    rows = "".join(f"  - {{{item}}}\n" for item in items)
    return f"name: s\nprotocol: rank\n{more}items:\n{rows}"


def item(prompt: str, more: str = "") -> str:
    return f"prompt: {prompt}, replies: [a, b]{more}"


def prompts(store: Store) -> list[str]:
    return [found.content["prompt"][0]["content"] for found in items_of(store, "s")]


def test_an_item_put_at_the_top_is_added_and_no_other_one_twice(store: Store) -> None:
    assert str(sync_study(store, parse_study(text(item("p1"), item("p2"))))) == "made, 2 new items"
    kept = sync_study(store, parse_study(text(item("p0"), item("p1"), item("p2"))))
    assert str(kept) == "unchanged, 1 new items, 2 were there"
    assert prompts(store) == ["p1", "p2", "p0"]


def test_what_the_file_no_longer_has_stays_and_is_said(store: Store) -> None:
    sync_study(store, parse_study(text(item("p1"), item("p2"))))
    kept = sync_study(store, parse_study(text(item("p2"), more="title: new\n")))
    assert (kept.revised, kept.added, kept.existing, kept.not_in_file) == (True, 0, 1, 1)


def test_a_named_item_with_another_content_changes_nothing_at_all(store: Store) -> None:
    sync_study(store, parse_study(text(item("p1", ", name: one"))))
    with pytest.raises(StudyError, match="another content"):
        sync_study(store, parse_study(text(item("p2", ", name: one"), item("p3"), more="title: new\n")))
    assert prompts(store) == ["p1"] and find_study(store, "s").revision == 1


def test_gold_in_the_store_is_gold_enough(store: Store) -> None:
    gold = "gold: [{prompt: g, replies: [a, b], best: 0}]\n"
    sync_study(store, parse_study(text(item("p"), more="gold_every: 3\n" + gold)))
    sync_study(store, parse_study(text(item("p"), more="gold_every: 4\n")))
    assert find_study(store, "s").revision == 2
    with pytest.raises(StudyError, match="no gold items"):
        sync_study(store, parse_study("name: t\nprotocol: rank\ngold_every: 3"))
    with pytest.raises(StudyError, match="cannot change"):
        sync_study(store, parse_study("name: s\nprotocol: rule-judge"))


def test_a_form_made_under_other_settings_is_not_taken(store: Store) -> None:
    sync_study(store, parse_study(text(item("p"), more="settings: {steps: 9}\n")))
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None
    sync_study(store, parse_study(text(item("p"), more="settings: {steps: 5}\n")))
    desk.refresh()
    form = {"scale": "2", "terms": screen.terms}
    with pytest.raises(DataError, match="changed while this page was open"):
        desk.submit(screen.slot, screen.lease, who, "key-000001", form)
    form["terms"] = desk.view(screen.slot, who).terms
    assert desk.submit(screen.slot, screen.lease, who, "key-000001", form).receipt.status == "counted"
