"""People, their names and passwords."""

import pytest

from preflab.data.store import Store, people
from preflab.data.store.schema import body, event
from preflab.errors import Conflict
from tests.data.store.conftest import START
from tests.data.store.made import crowd, rows


def test_a_person_is_a_pseudonym_that_says_nothing(store: Store) -> None:
    who = people.new_person(store, name="Anna", password="$argon2id$...")
    found = people.find_person(store, name="Anna")
    assert found == people.find_person(store, id=who)
    assert found is not None
    assert (found.id, found.name, found.created, found.erased) == (who, "Anna", START, None)
    assert "anna" not in who.lower()
    assert people.find_person(store, name="Ben") is None
    (added,) = rows(store, body)
    assert "Anna" not in added["body"]  # the log is for good: no name may be in it


def test_a_name_is_taken_once_and_many_have_none(store: Store) -> None:
    people.new_person(store, name="Anna")
    with pytest.raises(Conflict, match="'Anna' is taken"):
        people.new_person(store, name="Anna")
    assert len({people.new_person(store) for _ in range(3)}) == 3
    assert len(rows(store, event)) == 4  # nothing is logged of what was refused


def test_another_password_ends_all_sessions_and_no_invitation(store: Store) -> None:
    anna, ben = crowd(store, 2)
    own = [people.issue_token(store, kind, pseudonym=anna, days=1.0) for kind in ("session", "api")]
    bens = people.issue_token(store, "session", pseudonym=ben, days=1.0)
    invite = people.issue_token(store, "invite", days=1.0)
    people.set_password(store, anna, "$argon2id$other")
    assert [people.find_token(store, secret, "session", "api") for secret in own] == [None, None]
    assert people.find_token(store, bens, "session") is not None
    assert people.find_token(store, invite, "invite") is not None
