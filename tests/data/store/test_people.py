"""People, roles, tokens; and leaving."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from preflab.data.store import Store, conversation, judgements, log, people, queue
from preflab.data.store.people import DAY_MS, Erased, Member, Role
from preflab.data.store.schema import body, event, judgement, person, reply, slot, token, turn
from preflab.errors import Conflict, NotThere, StoreError
from tests.data.store.conftest import START, Clock
from tests.data.store.made import crowd, faults, hand_in, judge_all, rows, study_of


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


# tokens ----------------------------------------------------------------------------------------------------


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


def test_another_password_ends_all_sessions_and_no_invitation(store: Store) -> None:
    anna, ben = crowd(store, 2)
    own = [people.issue_token(store, kind, pseudonym=anna, days=1.0) for kind in ("session", "api")]
    bens = people.issue_token(store, "session", pseudonym=ben, days=1.0)
    invite = people.issue_token(store, "invite", days=1.0)
    people.set_password(store, anna, "$argon2id$other")
    assert [people.find_token(store, secret, "session", "api") for secret in own] == [None, None]
    assert people.find_token(store, bens, "session") is not None
    assert people.find_token(store, invite, "invite") is not None


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


# leaving ---------------------------------------------------------------------------------------------------


def test_erasing_leaves_counts_and_a_tombstone_and_no_word(store: Store) -> None:
    study = study_of(store, "x", "y", "z")
    anna = people.new_person(store, name="Anna", password="hashed")
    (ben,) = crowd(store, 1)
    people.consent(store, anna, study, 1, "I agree")
    people.issue_token(store, "session", pseudonym=anna, days=1.0)
    done = queue.claim(store, study, anna)
    assert done is not None
    hand_in(store, done, answer="a secret of Anna's")
    held = queue.claim(store, study, anna)
    assert held is not None
    number = conversation.begin_turn(
        store,
        slot_id=held.slot,
        lease=held.lease,
        person=anna,
        text="a secret of Anna's",
        key="message-key",
        policies=["p", "q"],
    )
    job = conversation.take_job(store, "worker")
    assert (number, job is not None) == (0, True)
    assert job is not None

    assert people.erase_person(store, anna, actor=ben) == Erased(events=2, judgements=1)  # consent and judgement

    assert not conversation.finish_reply(store, job.reply, "worker", "to a secret of Anna's", {})
    assert conversation.take_job(store, "worker") is None
    left = str([rows(store, table) for table in (event, body, person, token, judgement, turn, reply, slot)])
    assert "secret" not in left
    assert "Anna" not in left
    found = people.find_person(store, id=anna)
    assert found is not None
    assert (found.name, found.password, found.erased) == (None, None, START)
    assert [m for m in people.members_of(store, study) if m.person == anna] == []
    assert judgements.counts(store, study) == {"erased": 1}
    assert (queue.progress(store, study).filled, queue.progress(store, study).held) == (1, 0)
    assert faults(store) == ()
    assert people.erase_person(store, anna, actor=ben) == Erased(0, 0)
    assert judgements.verify(store).erased == 2


def test_erasing_keeps_what_an_owner_did_and_everybody_elses_judgements(store: Store) -> None:
    study = study_of(store, "x", "y", slots=2)
    anna, ben = crowd(store, 2)
    receipts = judge_all(store, study, [anna, ben])
    judgements.discard(store, seq=receipts[-1].seq, actor=anna, reason="typed at random")
    people.erase_person(store, anna, actor=ben)
    assert judgements.counts(store, study) == {"erased": 2, "counted": 1, "withdrawn": 1}
    assert faults(store) == ()


def test_nobody_is_erased_who_is_not_there(store: Store) -> None:
    with pytest.raises(NotThere, match="nobody of the pseudonym 'p-nobody'"):
        people.erase_person(store, "p-nobody", actor="p-owner")


def test_a_role_outside_the_three_is_refused_by_the_database_too(store: Store) -> None:
    (anna,) = crowd(store, 1)
    people.grant(store, anna, "one", "annotator")
    with pytest.raises((sa.exc.IntegrityError, StoreError)), store.writing() as connection:
        connection.execute(sa.text("UPDATE member SET role = 'admin'"))
