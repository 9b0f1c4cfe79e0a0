"""Votes and whether they fix ratings: by hand, and against a search that tries to make the ratings run away."""

import numpy as np
import pytest
from scipy.optimize import linprog  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import DataError
from preflab.maths.pairwise_votes import Ties, Votes, diagnose, is_sound, tally


def votes(*results: str) -> Votes:
    """``a>b`` for a win of a, ``a=b`` for a tie."""
    cut = [(r[0], r[2], 1.0 if r[1] == ">" else 0.5) for r in results]
    return Votes.of([a for a, _, _ in cut], [b for _, b, _ in cut], [y for _, _, y in cut])


def test_votes_are_counted_by_pair_whichever_side_stood_first() -> None:
    counted = tally(votes("a>b", "b>a", "a>b", "b=a", "c>a"), "davidson")
    assert counted.names == ("a", "b", "c")
    assert list(zip(counted.left, counted.right, strict=True)) == [(0, 1), (0, 2)]
    assert counted.counts.tolist() == [[2, 0], [1, 1], [1, 0]]  # left wins, right wins, ties
    assert tally(votes("a>b", "a=b"), "half").counts.tolist() == [[1.5], [0.5], [0]]


def test_weights_and_voters_are_kept() -> None:
    found = Votes.of(["a", "a"], ["b", "b"], [1.0, 0.0], weights=[2.0, 0.5], voters=["ann", "bob"], names=["b", "a"])
    counted = tally(found, "davidson")
    assert counted.names == ("b", "a") and found.voters == 2
    assert counted.parts.toarray().tolist() == [[0, 2.0, 0], [0.5, 0, 0]]  # b is on the left: a's win is the right's


@pytest.mark.parametrize("ties", ["davidson", "half"])
def test_items_that_nothing_connects_are_named(ties: Ties) -> None:
    found = diagnose(tally(votes("a>b", "b>a", "c>d", "d>c"), ties))
    assert found.groups == (("a", "b"), ("c", "d")) and not found.sound
    assert found.complaints() == ("no comparison connects {a, b} with {c, d}",)


@pytest.mark.parametrize("ties", ["davidson", "half"])
def test_an_unbeaten_item_and_one_without_a_win_are_named(ties: Ties) -> None:
    found = diagnose(tally(votes("a>b", "b>c", "c>b", "b>d", "c>d"), ties))
    assert found.unbeaten == (("a",),) and found.winless == (("d",),)
    assert found.complaints() == (
        "{a} never lost to or tied with anybody else",
        "{d} never beat or tied with anybody else",
    )


def test_a_group_may_be_unbeaten_though_each_in_it_lost() -> None:
    found = diagnose(tally(votes("a>b", "b>a", "a>c", "c>d", "d>c"), "half"))
    assert found.unbeaten == (("a", "b"),) and found.winless == (("c", "d"),)


def test_a_tie_connects_both_ways_where_it_counts_half() -> None:
    results = votes("a>b", "a=b")
    assert diagnose(tally(results, "half")).sound
    # Davidson's P(a), P(tie), P(b) fit 1/2, 1/2, 0 ever better as the difference and nu grow together.
    found = diagnose(tally(results, "davidson"))
    assert found.ties_run_away and not found.sound
    assert "no ring of results holds more wins than ties" in found.complaints()[0]


def test_a_ring_with_more_wins_than_ties_stops_ties_from_running_away() -> None:
    assert diagnose(tally(votes("a>b", "b>c", "c=a"), "davidson")).sound
    assert not diagnose(tally(votes("a>b", "b=c", "c=a"), "davidson")).sound
    assert diagnose(tally(votes("a>b", "b>a", "a=b"), "davidson")).sound


def runs_away(found: Votes, ties: Ties) -> bool:
    """Linear programming: is there a way to move ratings and log nu for ever that never lowers the likelihood?

    Along (d, l) each result must keep the largest of the growth rates gap/2, -gap/2 and, where ties are modelled, l.
    """
    counted = tally(found, ties)
    modelled = bool(counted.counts[2].any())
    n, rows = len(found.names), []
    for p, (i, j) in enumerate(zip(counted.left, counted.right, strict=True)):
        half = np.zeros(n + 1)
        half[i], half[j] = 0.5, -0.5
        rates = [half, -half, np.eye(n + 1)[n]][: 3 if modelled else 2]
        for k, own in enumerate(rates):
            if counted.counts[k, p] > 0:
                rows += [other - own for other in rates]
    fixed = np.array([[1.0, *np.zeros(n)]])
    bounds = [(-1, 1)] * n + [(-1, 1) if modelled else (0, 0)]
    for target in np.vstack([np.eye(n + 1), -np.eye(n + 1)]):
        best = linprog(target, A_ub=np.array(rows), b_ub=np.zeros(len(rows)), A_eq=fixed, b_eq=[0], bounds=bounds)
        if best.fun < -1e-9:
            return True
    return False


@pytest.mark.parametrize("ties", ["davidson", "half"])
def test_the_diagnosis_agrees_with_linear_programming_on_random_votes(ties: Ties) -> None:
    rng, sound = np.random.default_rng(0), 0
    for _ in range(60):
        n = int(rng.integers(2, 6))
        results = []
        for _ in range(int(rng.integers(2, 9))):
            a, b = rng.choice(n, 2, replace=False)
            results.append(f"{'abcde'[a]}{rng.choice(['>', '>', '='])}{'abcde'[b]}")
        found = votes(*results)
        counted = tally(found, ties)
        assert diagnose(counted).sound is (not runs_away(found, ties)), results
        assert is_sound(counted, counted.counts) is diagnose(counted).sound
        sound += diagnose(counted).sound
    assert 5 < sound < 55  # the draw holds both kinds


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"first": [], "second": [], "outcome": []}, "at least one vote"),
        ({"second": ["b"]}, "lists of one length"),
        ({"second": ["a", "b"]}, "'a' against 'a'"),
        ({"outcome": [1.0, 1.5]}, r"in \[0, 1\], got 1.5"),
        ({"outcome": [1.0, float("nan")]}, r"in \[0, 1\], got nan"),
        ({"weights": [1.0, 0.0]}, "positive and finite, got 0"),
        ({"names": ["a", "b"]}, "'c' is none of them"),
        ({"voters": ["ann"]}, "one cluster per item"),
    ],
)
def test_impossible_votes_are_refused(changes: dict[str, list[object]], complaint: str) -> None:
    given: dict[str, list[object]] = {"first": ["a", "c"], "second": ["b", "b"], "outcome": [1.0, 0.0]}
    with pytest.raises(DataError, match=complaint):
        Votes.of(**(given | changes))  # type: ignore[arg-type]


def test_a_share_of_a_win_is_refused_where_ties_are_results() -> None:
    found = Votes.of(["a"], ["b"], [0.7])
    assert tally(found, "half").counts.tolist() == [[0.7], [pytest.approx(0.3)], [0]]
    with pytest.raises(DataError, match=r"got 0\.7"):
        tally(found, "davidson")
