"""Erasing a person."""

import pytest

from preflab.data.store import Store, conversation, judgements, people, queue
from preflab.data.store.people import Erased
from preflab.data.store.schema import body, event, judgement, person, reply, slot, token, turn
from preflab.errors import NotThere
from tests.data.store.conftest import START
from tests.data.store.made import crowd, faults, hand_in, judge_all, rows, study_of


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
