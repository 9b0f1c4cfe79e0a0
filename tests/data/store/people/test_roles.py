"""Roles, consent, leaving a study."""

import pytest
import sqlalchemy as sa

from preflab.data.store import Store, log, people, queue
from preflab.data.store.people import Member, Role
from preflab.data.store.schema import event
from preflab.errors import Conflict, StoreError
from tests.data.store.conftest import START
from tests.data.store.made import crowd, hand_in, rows, study_of


def test_the_highest_role_counts_and_a_star_is_every_study(store: Store) -> None:
    anna, ben, cleo = crowd(store, 3)
    people.grant(store, anna, "one", "annotator")
    people.grant(store, anna, people.EVERY, "reviewer")
    people.grant(store, ben, "one", "owner")
    assert [people.role_in(store, who, "one") for who in (anna, ben, cleo)] == ["reviewer", "owner", None]
    assert [people.role_in(store, who, "two") for who in (anna, ben, cleo)] == ["reviewer", None, None]
    assert {m.person for m in people.members_of(store, "one")} == {anna, ben}
    assert [m.study for m in people.memberships(store, anna)] == ["*", "one"]


@pytest.mark.parametrize("role", ["admin", "", "Owner"])
def test_an_unknown_role_is_refused(store: Store, role: Role) -> None:
    (anna,) = crowd(store, 1)
    with pytest.raises(Exception, match=r"a role is one of annotator, reviewer, owner|Type-check error"):
        people.grant(store, anna, "one", role)


@pytest.mark.parametrize("act", ["demote", "remove", "erase"])
def test_the_last_owner_of_the_site_stays(store: Store, act: str) -> None:
    anna, ben = crowd(store, 2)
    people.grant(store, anna, people.EVERY, "owner")

    def leave() -> None:
        if act == "demote":
            people.grant(store, anna, people.EVERY, "annotator")
        elif act == "remove":
            people.remove_member(store, anna, people.EVERY, actor=anna)
        else:
            people.erase_person(store, anna, actor=anna)

    with pytest.raises(Conflict, match="the last owner"):
        leave()
    assert people.role_in(store, anna, "any") == "owner"
    people.grant(store, ben, people.EVERY, "owner")
    leave()
    assert people.role_in(store, anna, "any") != "owner"


def test_whoever_is_removed_gives_their_task_back_and_keeps_what_they_judged(store: Store) -> None:
    study = study_of(store, "x", "y")
    anna, ben = crowd(store, 2)
    people.grant(store, anna, study, "annotator")
    first = queue.claim(store, study, anna)
    assert first is not None
    hand_in(store, first)
    queue.claim(store, study, anna)
    people.remove_member(store, anna, study, actor=ben)
    assert people.role_in(store, anna, study) is None
    assert (queue.progress(store, study).filled, queue.progress(store, study).held) == (1, 0)
    people.remove_member(store, anna, study, actor=ben)  # once more does nothing
    assert [e["kind"] for e in rows(store, event)].count("role.removed") == 1


def test_consent_is_kept_with_its_text_and_role_and_ends_an_opt_out(store: Store) -> None:
    study = study_of(store, "x")
    anna, ben = crowd(store, 2)
    people.grant(store, ben, study, "reviewer")
    for who in (anna, ben):
        people.opt_out(store, who, study)
        people.consent(store, who, study, 3, "I agree to everything")
    found = {m.person: m for m in people.members_of(store, study)}
    assert found[anna] == Member(anna, study, "annotator", 3, None)
    assert found[ben] == Member(ben, study, "reviewer", 3, None)
    with store.reading() as connection:
        told = [e.body for e in log.events(connection, kind="consent")]
    assert told == [{"revision": 3, "text": "I agree to everything"}] * 2
    people.opt_out(store, anna, study)
    assert {m.person: m.opted_out for m in people.members_of(store, study)} == {anna: START, ben: None}


def test_a_role_outside_the_three_is_refused_by_the_database_too(store: Store) -> None:
    (anna,) = crowd(store, 1)
    people.grant(store, anna, "one", "annotator")
    with pytest.raises((sa.exc.IntegrityError, StoreError)), store.writing() as connection:
        connection.execute(sa.text("UPDATE member SET role = 'admin'"))


def test_whoever_opts_out_gives_their_task_back_and_is_handed_none_of_it_by_that(store: Store) -> None:
    study = study_of(store, "x", "y")
    anna, ben = crowd(store, 2)
    for pseudonym in (anna, ben):
        people.consent(store, pseudonym, study, 1, "I agree")
    first = queue.claim(store, study, anna)
    assert first is not None
    people.opt_out(store, anna, study)
    assert queue.progress(store, study).held == 0
    second = queue.claim(store, study, ben)
    assert second is not None and second.item.name == first.item.name  # at once, not when the lease has ended
    assert [(m.person, m.opted_out) for m in people.members_of(store, study)] == sorted([(anna, START), (ben, None)])


def test_opting_out_of_one_study_is_not_opting_out_of_another(store: Store) -> None:
    (anna,) = crowd(store, 1)
    for study in ("one", "two"):
        people.consent(store, anna, study, 1, "I agree")
    people.opt_out(store, anna, "one")
    assert [(m.study, m.opted_out) for m in people.memberships(store, anna)] == [("one", START), ("two", None)]


@pytest.mark.parametrize("order", [["annotator", "owner"], ["owner", "annotator"], ["reviewer", "reviewer"]])
def test_the_last_word_on_a_role_counts_within_a_study(store: Store, order: list[Role]) -> None:
    (anna,) = crowd(store, 1)
    for role in order:
        people.grant(store, anna, "one", role)
    assert people.role_in(store, anna, "one") == order[-1]
    assert len(people.members_of(store, "one")) == 1
    assert [row["kind"] for row in rows(store, event)].count("role.granted") == 2


def test_an_owner_of_one_study_may_leave_it_though_nobody_else_owns_it(store: Store) -> None:
    """Owners of the site remain; only these must not run out."""
    anna, _ = crowd(store, 2)
    people.grant(store, anna, "one", "owner")
    people.remove_member(store, anna, "one", actor=anna)
    assert people.role_in(store, anna, "one") is None
