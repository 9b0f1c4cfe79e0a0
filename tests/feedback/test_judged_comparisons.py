"""What people said, as comparisons."""

import json

from preflab.data.comparison import EDITOR
from preflab.data.store import Store, conversation, people
from preflab.data.store.judgements import discard
from preflab.data.store.log import head
from preflab.feedback.annotation.annotation_service import AnnotationService
from preflab.feedback.export import export
from preflab.feedback.judged_comparisons import comparisons_of
from tests.feedback.conftest import judge, make, somebody

STUDY = """
name: s
protocol: rank
slots: 2
items:
  - {name: one, prompt: q, replies: [first, second], policies: [x, y]}
"""


def test_votes_are_comparisons_with_their_origin(store: Store) -> None:
    make(store, STUDY)
    who = somebody(store)
    seq = judge(store, who, "second", key="key-000001", strength=3)
    (found,) = comparisons_of(store, "s").comparisons
    assert found.best() == ("second",) and found.strength == 3
    assert found.provenance.annotator == who and found.provenance.id == f"s/{seq}"
    assert found.provenance.policies == ("x", "y")


def test_what_is_left_out_is_counted(store: Store) -> None:
    make(store, STUDY + "gold_every: 2\ngold: [{prompt: g, replies: [a, b], best: 0}]\n")
    weak, gone = somebody(store), somebody(store)
    judge(store, weak, "first", key="key-000001")
    judge(store, weak, "a", key="key-000002")
    judge(store, gone, "first", key="key-000003", strength=4)
    people.erase_person(store, gone, actor=gone)
    found = comparisons_of(store, "s", weakest=1.0)
    assert found.comparisons == []
    assert found.left_out == {"a weak preference": 1, "a gold item": 1}  # the erased one is not counted any more
    assert len(comparisons_of(store, "s", gold=True).comparisons) == 2


def test_an_edit_outlives_a_weak_vote(store: Store) -> None:
    """All three pairs are learned; where the vote is too weak, the edit alone, against the reply it came from."""
    make(
        store,
        "name: s\nprotocol: chat\nsettings: {edit: true}\nitems: [{topic: t}]\n"
        "policies: [{name: x, model: tiny}, {name: y, model: tiny}]\n",
    )
    desk, who = AnnotationService(store, "s"), somebody(store)
    screen = desk.next_task(who)
    assert screen is not None
    place = (screen.slot, screen.lease, who)
    desk.conversation.send(*place, "key-say-01", "hello")
    while (job := conversation.take_job(store, "w")) is not None:
        conversation.finish_reply(store, job.reply, "w", f"by {job.policy}", {})
    desk.conversation.vote(*place, "key-vote-1", 0, {"scale": "1", "edited": "better"})
    (strong,) = comparisons_of(store, "s").comparisons
    assert strong.provenance.policies[0] == EDITOR and strong.ranks == (0, 1, 2) and strong.strength == 1
    kept = comparisons_of(store, "s", weakest=1.0)
    (edit,) = kept.comparisons
    assert edit.replies == ("better", strong.replies[1]) and edit.ranks == (0, 1)
    assert edit.provenance.policies == (EDITOR, strong.provenance.policies[1]) and edit.strength is None
    assert kept.left_out == {"a weak preference": 1}
    for format in ("hh", "trl", "ultrafeedback"):
        pairs = [json.loads(line) for line in export(store, "s", format).text.splitlines()]
        assert len(pairs) == 3  # edit over picked, edit over other, picked over other


def test_the_past_can_be_asked_for(store: Store) -> None:
    """Discarded later, a judgement still belongs to what was exported before."""
    make(store, STUDY)
    seq = judge(store, somebody(store), "first", key="key-000001")
    with store.reading() as connection:
        then = head(connection)[0]
    discard(store, seq=seq, actor="server", reason="test")
    assert comparisons_of(store, "s").comparisons == []
    assert len(comparisons_of(store, "s", up_to=then).comparisons) == 1
