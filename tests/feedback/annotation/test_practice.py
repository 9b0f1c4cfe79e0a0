"""Practice: every item once, wrong ones again until enough are right."""

import pytest

from preflab.data.store import Store
from preflab.errors import DataError
from preflab.feedback.annotation.annotation_service import AnnotationService
from tests.feedback.conftest import make, somebody

STUDY = """
name: s
protocol: rank
practice_right: 2
practice:
  - {name: one, prompt: q1, replies: [good, bad], best: 0, feedback: because}
  - {name: two, prompt: q2, replies: [good, bad], best: 0}
"""


def answer(service: AnnotationService, person: str, key: str, better: str) -> tuple[str, bool | None, str]:
    """Judge the next practice item; its prompt, and the feedback."""
    item = service.practice.next_item(person)
    assert item is not None
    replies = service.practice.view(item, person).content["replies"]
    point = "-1" if replies[0] == better else "1"
    feedback = service.practice.submit(item.id, person, key, {"scale": point})
    return item.name, feedback.right, feedback.text


def test_the_item_tried_least_often_comes_again_until_enough_are_right(store: Store) -> None:
    make(store, STUDY)
    service, person = AnnotationService(store, "s"), somebody(store)
    assert answer(service, person, "key-000001", "bad") == ("one", False, "because")
    assert answer(service, person, "key-000002", "bad") == ("two", False, "")
    assert answer(service, person, "key-000003", "good") == ("one", True, "because")
    assert answer(service, person, "key-000004", "bad")[:2] == ("two", False)
    assert answer(service, person, "key-000005", "good")[:2] == ("two", True)
    assert service.practice.next_item(person) is None


def test_views_hide_what_is_right(store: Store) -> None:
    make(store, STUDY)
    service, person = AnnotationService(store, "s"), somebody(store)
    item = service.practice.next_item(person)
    assert item is not None
    view = service.practice.view(item, person)
    assert view.practice and view.content.keys() == {"prompt", "replies"}
    with pytest.raises(DataError, match="no such practice item"):
        service.practice.submit(10_000, person, "key-000001", {"scale": "1"})
