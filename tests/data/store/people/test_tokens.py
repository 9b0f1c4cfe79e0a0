"""Tokens and invitations."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from preflab.data.store import Store, people
from preflab.data.store.people import DAY_MS
from preflab.data.store.schema import body, event, person, token
from preflab.errors import Conflict, NotThere
from tests.data.store.conftest import START, Clock
from tests.data.store.made import crowd, rows


def test_of_a_token_only_the_hash_is_kept(store: Store) -> None:
    secret = people.issue_token(store, "invite", study="one", days=1.0)
    kept = str([rows(store, table) for table in (token, event, body)])
    assert len(secret) == 43  # 32 bytes in base64
    assert secret not in kept


@pytest.mark.parametrize(("ms", "good"), [(0, True), (DAY_MS - 1, True), (DAY_MS, False)])
def test_a_token_expires(store: Store, clock: Clock, ms: int, good: bool) -> None:
    (anna,) = crowd(store, 1)
    secret = people.issue_token(store, "session", pseudonym=anna, days=1.0)
    clock.turn(ms=ms)
    assert (people.find_token(store, secret, "session") is not None) == good


def test_a_token_is_of_one_kind_and_can_be_revoked_once(store: Store) -> None:
    (anna,) = crowd(store, 1)
    secret = people.issue_token(store, "api", study="one", role="owner", pseudonym=anna, days=1.0)
    found = people.find_token(store, secret, "session", "api")
    assert found is not None
    assert (found.person, found.study, found.role) == (anna, "one", "owner")
    assert people.find_token(store, secret, "session") is None
    assert people.revoke(store, found.hash, actor=anna)
    assert not people.revoke(store, found.hash, actor=anna)
    assert people.find_token(store, secret, "api") is None
    (listed,) = people.tokens_of(store, "one", "api")
    assert listed.revoked == START


@pytest.mark.parametrize("secret", ["", "x" * 201, "no such token", "é", "NUL\x00"])
def test_what_is_no_token_is_none(store: Store, secret: str) -> None:
    assert people.find_token(store, secret, "session", "invite", "api", "bootstrap") is None


def test_an_invitation_makes_a_member_as_often_as_it_says(store: Store) -> None:
    secret = people.issue_token(store, "invite", study="one", role="reviewer", days=1.0, uses=2)
    first, found = people.use_invite(store, secret)
    second, _ = people.use_invite(store, secret, name="Ben", password="hashed")
    assert (found.study, found.role) == ("one", "reviewer")
    assert [people.role_in(store, who, "one") for who in (first, second)] == ["reviewer", "reviewer"]
    with pytest.raises(NotThere, match="has been used up"):
        people.use_invite(store, secret)


def test_a_name_that_is_taken_does_not_use_up_the_invitation(store: Store) -> None:
    people.new_person(store, name="Anna")
    secret = people.issue_token(store, "invite", days=1.0, uses=1)
    with pytest.raises(Conflict, match="'Anna' is taken"):
        people.use_invite(store, secret, name="Anna")
    assert people.use_invite(store, secret, name="Anne")


def test_an_invitation_never_lowers_a_role(store: Store) -> None:
    (anna,) = crowd(store, 1)
    people.grant(store, anna, "one", "owner")
    secret = people.issue_token(store, "invite", study="one", role="annotator", days=1.0)
    assert people.use_invite(store, secret, pseudonym=anna)[0] == anna
    assert people.role_in(store, anna, "one") == "owner"


@pytest.mark.parametrize("kind", ["session", "api"])
def test_a_session_is_no_invitation(store: Store, kind: people.Kind) -> None:
    (anna,) = crowd(store, 1)
    secret = people.issue_token(store, kind, pseudonym=anna, days=1.0)
    with pytest.raises(NotThere):
        people.use_invite(store, secret)


def test_an_invitation_for_one_that_eight_use_at_once_lets_in_one(store: Store, again: Callable[[], Store]) -> None:
    stores = [store, again(), again()]
    for _ in range(5):
        secret = people.issue_token(store, "invite", study="one", days=1.0, uses=1)

        def use(n: int, secret: str = secret) -> str | None:
            try:
                return people.use_invite(stores[n % 3], secret)[0]
            except NotThere:
                return None

        with ThreadPoolExecutor(8) as pool:
            assert sum(who is not None for who in pool.map(use, range(8))) == 1
    assert len(people.members_of(store, "one")) == len(rows(store, person)) == 5
