"""What all parts of the service share: orders, what is hidden, terms, records."""

import pytest

from preflab.data.store import Store
from preflab.data.store.studies import items_of, revise_study
from preflab.errors import DataError
from preflab.feedback.annotation.open_study import HIDDEN, OpenStudy
from tests.feedback.conftest import make

STUDY = """
name: s
protocol: rank
consent: first text
items:
  - {name: one, prompt: q, replies: [a, b, c], policies: [x, y, z], category: kept, best: 1}
"""


def test_items_are_shown_in_a_persons_order_without_what_is_hidden(store: Store) -> None:
    make(store, STUDY)
    study = OpenStudy(store, "s")
    (item,) = items_of(store, "s")
    orders = {study.item_order(item, f"person {k}") for k in range(60)}
    assert len(orders) == 6  # of three replies
    for person in ("person 1", "person 2"):
        visible = study.visible(item, person)
        assert visible["replies"] == ["abc"[k] for k in study.item_order(item, person)]
        assert not visible.keys() & set(HIDDEN) and visible["category"] == "kept"


def test_a_form_of_other_settings_is_refused_and_consent_is_that_of_its_revision(store: Store) -> None:
    file = make(store, STUDY)
    study = OpenStudy(store, "s")
    terms = study.terms()
    study.check_terms({"terms": terms})
    study.check_terms({})
    changed = file.definition.to_json() | {"settings": {"steps": 5}, "consent": "second text"}
    revise_study(store, "s", changed)
    assert study.terms() == terms  # until it looks again
    assert study.refresh().consent == "second text"
    assert (study.consent_of(1), study.consent_of(2)) == ("first text", "second text")
    with pytest.raises(DataError, match="the study was changed"):
        study.check_terms({"terms": terms})


def test_a_payload_holds_what_is_needed_to_understand_it(store: Store) -> None:
    make(store, STUDY)
    study = OpenStudy(store, "s")
    (item,) = items_of(store, "s")
    payload = study.payload(item, (2, 0, 1), {"ranks": [0, 1, 2]}, {"seconds": "1.5"})
    assert payload["protocol"] == "rank" and payload["revision"] == 1 and payload["purpose"] == "main"
    assert payload["shown"] == [2, 0, 1] and payload["answer"] == {"ranks": [0, 1, 2]} and payload["seconds"] == 1.5
    assert payload["content"]["policies"] == ["x", "y", "z"] and payload["repeats"] is None
