"""Elo of policies from votes."""

import math

import pytest

from preflab.data.comparison import EDITOR, Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.feedback.policy_ratings import policy_ratings


def vote(first: str, second: str, ranks: tuple[int, int], who: str = "p") -> Comparison:
    origin = Provenance(policies=(first, second), annotator=who)
    return Comparison(prompt=Dialogue.of("q"), replies=("a", "b"), ranks=ranks, provenance=origin)


def test_three_wins_of_four_are_odds_of_three() -> None:
    """ln 3 nats apart, 400 / ln 10 Elo a nat: 190.8 Elo, half to each side of the mean."""
    found = policy_ratings([vote("x", "y", (0, 1))] * 3 + [vote("x", "y", (1, 0))])
    assert found is not None and list(found.elo) == ["x", "y"]
    half = 400 * math.log10(3) / 2
    assert found.elo["x"].value == pytest.approx(half, abs=1e-6)
    assert found.elo["y"].value == pytest.approx(-half, abs=1e-6)
    assert found.elo["x"].low < 0 < found.elo["x"].high  # four votes decide nothing


def test_edits_are_no_policy_and_leave_the_ratings_as_they_are() -> None:
    """Every vote comes with an edit that beats both: still odds of 3, by maximum likelihood, and nobody else rated."""

    def edited(picked: str, other: str) -> Comparison:
        origin = Provenance(policies=(EDITOR, picked, other), annotator="p")
        return Comparison(prompt=Dialogue.of("q"), replies=("e", "a", "b"), ranks=(0, 1, 2), provenance=origin)

    found = policy_ratings([edited("x", "y")] * 3 + [edited("y", "x")])
    assert found is not None and list(found.elo) == ["x", "y"]
    assert (found.votes, found.ridge) == (4, 0.0)
    assert found.elo["x"].value == pytest.approx(400 * math.log10(3) / 2, abs=1e-6)
    alone = Provenance(policies=(EDITOR, "x"))
    assert policy_ratings([Comparison.chosen_rejected(Dialogue.of("q"), "e", "a", provenance=alone)]) is None


def test_ties_follow_davidson_and_sides_do_not_matter() -> None:
    one = policy_ratings([vote("x", "y", (0, 0)), vote("x", "y", (0, 1)), vote("y", "x", (0, 1))])
    two = policy_ratings([vote("y", "x", (0, 0)), vote("y", "x", (1, 0)), vote("x", "y", (1, 0))])
    assert one is not None and two is not None
    assert one.elo["x"].value == pytest.approx(two.elo["x"].value)


def test_one_that_never_lost_needs_a_ridge_and_that_is_said() -> None:
    found = policy_ratings([vote("x", "y", (0, 1))] * 5)
    assert found is not None and "ridge" in found.note and found.ridge == 0.1
    assert 0 < found.elo["x"].value < 1000


def test_a_policy_against_itself_says_nothing() -> None:
    found = policy_ratings([vote("x", "x", (0, 1)), vote("x", "y", (0, 1)), vote("x", "y", (1, 0))])
    assert found is not None and (found.same_policy, found.votes) == (1, 2)
    assert policy_ratings([vote("x", "x", (0, 1))]) is None
    assert policy_ratings([Comparison(prompt=Dialogue.of("q"), replies=("a", "b"), ranks=(0, 1))]) is None


def test_many_annotators_are_resampled_whole() -> None:
    """Ten people who each say the same thing ten times are ten votes, not a hundred."""
    votes = [vote("x", "y", (0, 1) if who < 7 else (1, 0), f"p{who}") for who in range(10) for _ in range(10)]
    found = policy_ratings(votes)
    assert found is not None and "10 annotators" in found.note
    alone = policy_ratings([vote("x", "y", (0, 1) if who < 7 else (1, 0), "p") for who in range(10) for _ in range(10)])
    assert alone is not None
    wide, narrow = (f.elo["x"].high - f.elo["x"].low for f in (found, alone))
    assert wide > 1.5 * narrow
