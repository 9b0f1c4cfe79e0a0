"""People as a labeller: asked once, found later."""

import pytest
import torch

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.store import Store, people
from preflab.errors import ConfigError, DataError
from preflab.feedback.labellers.human import ERASED, HumanLabeller, StillWaiting
from preflab.interfaces import AsyncLabeller, Labeller
from tests.feedback.conftest import judge, make, somebody


def test_a_labeller_stops_and_finds_what_was_judged_meanwhile(store: Store) -> None:
    make(store, "name: s\nprotocol: rank\nslots: 2\n")
    asked = [Comparison(prompt=Dialogue.of(f"q{n}"), replies=("good", "bad"), ranks=(0, 0)) for n in range(2)]
    label = HumanLabeller(store, "s", wait=False)
    with pytest.raises(StillWaiting, match="0 of 2"):
        label(asked)
    first, second = somebody(store), somebody(store)
    for n in range(2):
        judge(store, first, "good", key=f"key-first-{n}")
    with pytest.raises(StillWaiting, match="0 of 2"):  # each wants two votes
        label(asked)
    judge(store, second, "bad", key="key-second-0")
    judge(store, second, "tie", key="key-second-1")
    # first item: one vote for good, one for bad; second: one for good, one tie
    torch.testing.assert_close(label(asked).prob_first, torch.tensor([0.5, 0.75], dtype=torch.float64))
    assert HumanLabeller(store, "s")(asked).prob_first.tolist() == [0.5, 0.75]  # and nothing is asked twice


def test_answers_come_later_each_once_even_to_another_process(store: Store) -> None:
    make(store, "name: s\nprotocol: rank\n")
    origin = Provenance(policies=("x", "y"))
    asked = [
        Comparison(prompt=Dialogue.of(f"q{n}"), replies=("good", "bad"), ranks=(0, 1), provenance=origin)
        for n in range(2)
    ]
    labeller = HumanLabeller(store, "s")
    assert isinstance(labeller, AsyncLabeller) and isinstance(labeller, Labeller)
    assert labeller.ask(asked) == 2 and labeller.ask(asked) == 0
    assert labeller.answers() == []
    annotator = somebody(store)
    judge(store, annotator, "good", key="key-000001")
    (first,) = labeller.answers()
    assert first.votes == (1.0,) and first.prob_first == 1.0
    assert first.pair.prompt == asked[0].prompt and first.pair.provenance == origin and first.pair.ranks == (0, 0)
    judge(store, annotator, "bad", key="key-000002")
    assert [answer.prob_first for answer in labeller.answers()] == [0.0]
    assert labeller.answers() == []
    assert [answer.prob_first for answer in HumanLabeller(store, "s").answers()] == [1.0, 0.0]


def test_a_pair_whose_votes_were_all_erased_is_an_abstention(store: Store) -> None:
    make(store, "name: s\nprotocol: rank\n")
    pairs = [Comparison(prompt=Dialogue.of(f"q{n}"), replies=("good", "bad"), ranks=(0, 0)) for n in range(2)]
    labeller = HumanLabeller(store, "s", wait=False)
    labeller.ask(pairs)
    gone, stays = somebody(store), somebody(store)
    judge(store, gone, "good", key="key-000001")
    judge(store, stays, "bad", key="key-000002")
    people.erase_person(store, gone, actor=gone)
    labels = labeller(pairs)
    assert labels.abstained == {0: ERASED} and labels.prob_first[1] == 0.0


def test_what_a_labeller_cannot_ask_is_refused(store: Store) -> None:
    make(store, "name: s\nprotocol: rule-judge\n")
    with pytest.raises(ConfigError, match="need 'rank'"):
        HumanLabeller(store, "s")
    make(store, "name: r\nprotocol: rank\n")
    three = Comparison(prompt=Dialogue.of("q"), replies=("a", "b", "c"), ranks=(0, 1, 2))
    with pytest.raises(DataError, match="pairs"):
        HumanLabeller(store, "r", wait=False)([three])
