"""People, their names and passwords."""

import pytest

from preflab.data.store import Store, people
from preflab.data.store.schema import body, event
from preflab.errors import Conflict, NotThere
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


def test_somebody_is_checked_until_they_are_erased(store: Store) -> None:
    (anna,) = crowd(store, 1)
    for exclusive in (False, True):
        with store.writing() as connection:
            people.check_person(connection, anna, exclusive=exclusive)
    people.erase_person(store, anna, actor=anna)
    for pseudonym in (anna, "p-nobody", ""):
        with store.writing() as connection, pytest.raises(NotThere, match=f"nobody of the pseudonym {pseudonym!r}"):
            people.check_person(connection, pseudonym)


def test_a_name_is_free_again_once_its_bearer_is_erased(store: Store) -> None:
    first = people.new_person(store, name="Anna")
    people.erase_person(store, first, actor=first)
    second = people.new_person(store, name="Anna")
    found = people.find_person(store, name="Anna")
    assert found is not None and found.id == second != first


def test_a_name_is_taken_to_the_letter(store: Store) -> None:
    names = ["Anna", "anna", "Anna ", "Änna"]
    pseudonyms = [people.new_person(store, name=name) for name in names]
    found = [people.find_person(store, name=name) for name in names]
    assert [person.id for person in found if person is not None] == pseudonyms


def test_pseudonyms_are_spelled_without_letters_that_are_taken_for_another(store: Store) -> None:
    letters = set("".join(pseudonym.removeprefix("p-") for pseudonym in crowd(store, 40)))
    assert not letters & set("01ilo") and all(letter.islower() or letter.isdigit() for letter in letters)
    assert len(letters) > 20  # 400 draws of 31 letters


def test_another_password_is_kept_as_it_is_given_and_the_log_says_that_it_was_set(store: Store) -> None:
    anna = people.new_person(store, name="Anna", password="old hash")
    people.set_password(store, anna, "new hash")
    found = people.find_person(store, id=anna)
    assert found is not None and found.password == "new hash"
    assert [(row["kind"], row["actor"]) for row in rows(store, event, event.c.seq)][-1] == ("password.set", anna)
    assert "hash" not in str([row["body"] for row in rows(store, body)])
