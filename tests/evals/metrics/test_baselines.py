"""Baselines on data where the right answer is known."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.evals.metrics.baselines import BaselineResult, bag_of_words_baseline, length_baseline, pair_groups


def pair(prompt: str, chosen: str, rejected: str) -> Comparison:
    """One reply over another."""
    return Comparison.chosen_rejected(Dialogue.of(prompt), chosen, rejected)


LONGER = [pair("a", "longer", "short"), pair("b", "the longest", "long"), pair("c", "no", "what")]  # 2 of 3
MIXED = [
    pair("A ", "looong", "short"),  # longer wins
    Comparison(prompt=Dialogue.of("b"), replies=("xx", "yy", "zzz"), ranks=(0, 1, 2)),  # equal, shorter, shorter
    Comparison(prompt=Dialogue.of("c"), replies=("t", "u"), ranks=(0, 0)),  # tied, so not a pair
    Comparison(prompt=Dialogue.of("a"), replies=("s", "long"), ranks=(0, 1), prob_first=0.3),  # longer wins, softly
]


def test_the_longer_reply_is_preferred_where_that_was_right_more_often() -> None:
    found = length_baseline(LONGER, MIXED)
    assert found.correct.tolist() == [1.0, 0.5, 0.0, 0.0, 1.0]
    assert found.note == "the longer reply wins; the longer one did in 66.7% of training pairs"
    assert found.accuracy == pytest.approx(0.5)


def test_the_shorter_reply_is_preferred_where_that_was_right_more_often() -> None:
    mirrored = [pair(f"{n}", "s", "longer") for n in range(3)]
    found = length_baseline(mirrored, MIXED)
    assert found.correct.tolist() == [0.0, 0.5, 1.0, 1.0, 0.0]
    assert found.note.startswith("the shorter reply wins")


def test_groups_follow_the_pairs_and_a_prompt_keeps_its_number() -> None:
    assert pair_groups(MIXED).tolist() == [0, 1, 1, 1, 0]
    assert length_baseline(LONGER, MIXED).groups.tolist() == [0, 1, 1, 1, 0]


def wordy(n: int, seed: int) -> list[Comparison]:
    """Replies of random words; the better one says please, half of the time in second place."""
    rng = random.Random(seed)
    made = []
    for k in range(n):
        good, bad = ([rng.choice(["red", "green", "blue", "grey", "pink"]) for _ in range(5)] for _ in range(2))
        comparison = pair(f"prompt {k}", " ".join([*good, "please"]), " ".join([*bad, "now"]))
        made.append(comparison.swap() if k % 2 else comparison)
    return made


def test_a_telling_word_is_found() -> None:
    found = bag_of_words_baseline(wordy(40, seed=0), wordy(20, seed=1))
    assert found.correct.tolist() == [1.0] * 20
    assert found.groups.tolist() == list(range(20))


def test_a_telling_mark_and_a_telling_word_order_are_found() -> None:
    marks = [pair(f"{n}", "sure !", "sure ?") for n in range(10)]
    assert bag_of_words_baseline(marks, marks[:2]).accuracy == 1.0
    order = [pair(f"{n}", "not bad but good", "not good but bad") for n in range(10)]
    assert bag_of_words_baseline(order, order[:2]).accuracy == 1.0


def test_labels_without_a_reason_are_not_learnt_and_the_mirror_changes_nothing() -> None:
    rng = random.Random(2)
    noise = [comparison.swap() if rng.random() < 0.5 else comparison for comparison in wordy(60, seed=3)]
    labelled = [
        Comparison(prompt=found.prompt, replies=found.replies, ranks=rng.choice([(0, 1), (1, 0)])) for found in noise
    ]
    train, held_out = labelled[:40], labelled[40:]
    found = bag_of_words_baseline(train, held_out)
    mirrored = bag_of_words_baseline([c.swap() for c in train], [c.swap() for c in held_out])
    assert 0.1 < found.accuracy < 0.9
    np.testing.assert_array_equal(found.correct, mirrored.correct)


def test_weights_are_held_down_the_more_the_less_there_is_to_learn() -> None:
    rng = random.Random(4)
    telling = wordy(40, seed=0)
    noise = [
        Comparison(prompt=found.prompt, replies=found.replies, ranks=rng.choice([(0, 1), (1, 0)])) for found in telling
    ]
    assert "C = 3 by cross-validation" in bag_of_words_baseline(telling, telling).note
    assert "C = 0.003 by cross-validation" in bag_of_words_baseline(noise, noise).note


def test_unknown_words_decide_nothing() -> None:
    found = bag_of_words_baseline(wordy(10, seed=0), [pair("q", "quux", "quuz")])
    assert found.correct.tolist() == [0.5]


@pytest.mark.parametrize("replies", [("a", "b"), ("", " ")])
def test_one_prompt_or_no_words_still_give_a_result(replies: tuple[str, str]) -> None:
    found = bag_of_words_baseline([pair("only", *replies)], [pair("q", *replies)])
    assert found.correct.tolist() == [1.0 if replies[0] else 0.5]


@pytest.mark.parametrize("baseline", [length_baseline, bag_of_words_baseline])
@pytest.mark.parametrize("empty", ["train", "held-out"])
def test_a_part_without_decided_pairs_is_refused(baseline: Callable[..., BaselineResult], empty: str) -> None:
    tied = MIXED[2:3]
    with pytest.raises(DataError, match=f"the {empty} part has no pair"):
        baseline(tied if empty == "train" else LONGER, LONGER if empty == "train" else tied)
