"""Best-of-n estimates against enumeration of every subset, and KL against values worked out by hand."""

import math
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from preflab.errors import ConfigError, DataError
from preflab.maths.best_of_n import best_of_n_weights, expected_best_of_n, kl_best_of_n, kl_best_of_n_exact

# Gao notes, 3.6
PROXY = np.array([[0.1, 0.5, 0.9, 0.3, 0.7]])
GOLD = np.array([[0.2, 0.4, 0.1, 0.6, 0.8]])


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [0.2, 0.2, 0.2, 0.2, 0.2]),
        (2, [0, 0.1, 0.2, 0.3, 0.4]),  # C(i-1, 1) / 10
        (3, [0, 0, 0.1, 0.3, 0.6]),  # C(i-1, 2) / 10
        (5, [0, 0, 0, 0, 1]),
    ],
)
def test_weights_by_hand(n: int, expected: list[float]) -> None:
    np.testing.assert_allclose(best_of_n_weights(5, n), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("total", "n"), [(1, 1), (50, 7), (400, 399), (60_000, 1_000), (60_000, 60_000)])
def test_weights_are_exact_at_any_size(total: int, n: int) -> None:
    weights = best_of_n_weights(total, n)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    for i in {n, (n + total) // 2, total}:
        exact = Fraction(math.comb(i - 1, n - 1), math.comb(total, n))
        assert weights[i - 1] == pytest.approx(float(exact), rel=1e-8, abs=1e-300)


@pytest.mark.parametrize(
    ("n", "proxy", "gold"), [(1, 0.5, 0.42), (2, 0.7, 0.42), (3, 0.8, 0.34), (4, 0.86, 0.24), (5, 0.9, 0.1)]
)
def test_expected_scores_by_hand(n: int, proxy: float, gold: float) -> None:
    assert expected_best_of_n(PROXY, PROXY, n)[0] == pytest.approx(proxy)
    assert expected_best_of_n(PROXY, GOLD, n)[0] == pytest.approx(gold)


def enumerated(rank_by: np.ndarray, score: np.ndarray, n: int) -> float:
    """Mean over every subset of the mean score of its best, ties broken at random."""
    picks = []
    for subset in combinations(range(len(rank_by)), n):
        best = max(rank_by[i] for i in subset)
        picks.append(np.mean([score[i] for i in subset if rank_by[i] == best]))
    return float(np.mean(picks))


@pytest.mark.parametrize("levels", [2, 4, 1_000_000])  # few levels make many ties
def test_expected_scores_equal_enumeration_of_every_subset(levels: int) -> None:
    rng = np.random.default_rng(0)
    rank_by, score = rng.integers(levels, size=(4, 8)).astype(float), rng.normal(size=(4, 8))
    for n in range(1, 9):
        expected = [enumerated(r, s, n) for r, s in zip(rank_by, score, strict=True)]
        np.testing.assert_allclose(expected_best_of_n(rank_by, score, n), expected, rtol=1e-12)


def test_the_order_of_samples_changes_nothing_even_with_ties() -> None:
    rng = np.random.default_rng(0)
    rank_by, score = rng.integers(3, size=(1, 20)).astype(float), rng.normal(size=(1, 20))
    shuffle = rng.permutation(20)
    here, there = expected_best_of_n(rank_by, score, 4), expected_best_of_n(rank_by[:, shuffle], score[:, shuffle], 4)
    np.testing.assert_allclose(here, there, rtol=1e-12)


def test_a_constant_ranking_gives_the_plain_mean() -> None:
    np.testing.assert_allclose(expected_best_of_n(np.zeros((1, 5)), GOLD, 3), GOLD.mean())


def test_all_subsets_are_less_noisy_than_disjoint_ones() -> None:
    rng = np.random.default_rng(0)
    bank = rng.normal(size=(400, 12))
    ours = expected_best_of_n(bank, bank, 4)
    disjoint = bank.reshape(400, 3, 4).max(axis=2).mean(axis=1)
    assert ours.mean() == pytest.approx(disjoint.mean(), abs=0.05)
    assert ours.var() < 0.9 * disjoint.var()


@pytest.mark.parametrize(
    ("n", "kl"),
    [
        # Gao notes, 3.1
        (1, 0.0),
        (2, 0.19315),
        (4, 0.63629),
        (8, 1.2044),
        (16, 1.8351),
        (64, 3.1745),
        (256, 4.5491),
        (1000, 5.9088),
        (60_000, 10.0021),
        # Stiennon notes, 3.6
        (63, 3.159),
        (128, 3.860),
        (512, 5.240),
        (2048, 6.625),
    ],
)
def test_kl_of_best_of_n_by_hand(n: int, kl: float) -> None:
    assert kl_best_of_n(n) == pytest.approx(kl, abs=6e-4 if n in (63, 128, 512, 2048) else 6e-5)


@pytest.mark.parametrize(("n", "root"), [(2, 0.4395), (8, 1.0975), (64, 1.7817), (1000, 2.4308), (60_000, 3.1626)])
def test_distance_is_the_root_of_the_kl(n: int, root: float) -> None:
    assert math.sqrt(kl_best_of_n(n)) == pytest.approx(root, abs=6e-5)


@pytest.mark.parametrize(("outcomes", "n", "kl"), [(2, 8, 0.6676), (10, 64, 2.2935), (1000, 64, 3.1743)])
def test_exact_kl_over_uniform_outcomes_by_hand(outcomes: int, n: int, kl: float) -> None:
    got = kl_best_of_n_exact(np.full(outcomes, 1 / outcomes), np.arange(outcomes, dtype=float), n)
    assert got == pytest.approx(kl, abs=6e-5)
    assert got <= kl_best_of_n(n)


@pytest.mark.parametrize("scores", [[0.0, 1.0, 2.0], [3.0, -1.0, 0.5], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
def test_exact_kl_equals_enumeration_of_every_draw(scores: list[float]) -> None:
    probs, n = [0.2, 0.5, 0.3], 3
    chosen = [0.0, 0.0, 0.0]
    for draw in product(range(3), repeat=n):
        best = max(scores[i] for i in draw)
        tied = [i for i in draw if scores[i] == best]  # one of the tied draws, at random
        for i in tied:
            chosen[i] += math.prod(probs[j] for j in draw) / len(tied)
    expected = sum(q * math.log(q / p) for q, p in zip(chosen, probs, strict=True) if q > 0)
    assert kl_best_of_n_exact(np.array(probs), np.array(scores), n) == pytest.approx(expected, abs=1e-12)


def test_exact_kl_ends_at_the_surprise_of_the_best_outcome() -> None:
    probs, scores = np.array([0.9, 0.1, 0.0]), np.array([0.0, 1.0, 2.0])
    assert kl_best_of_n_exact(probs, scores, 10_000) == pytest.approx(math.log(10))
    assert kl_best_of_n_exact(probs, scores, 1) == pytest.approx(0.0, abs=1e-15)


def test_outcomes_that_never_happen_change_nothing_wherever_they_rank() -> None:
    plain = kl_best_of_n_exact(np.array([0.9, 0.1]), np.array([0.0, 1.0]), 3)
    for score in (-1.0, 0.5, 2.0):
        never = kl_best_of_n_exact(np.array([0.9, 0.1, 0.0]), np.array([0.0, 1.0, score]), 3)
        assert never == pytest.approx(plain, rel=1e-12)


def test_impossible_n_is_refused_with_the_allowed_range() -> None:
    for n in (0, 6):
        with pytest.raises(ConfigError, match=rf"n must be in \[1, total = 5\], got {n}"):
            best_of_n_weights(5, n)
        with pytest.raises(ConfigError, match="draw more samples"):
            expected_best_of_n(PROXY, GOLD, n)
    with pytest.raises(ConfigError, match="n must be at least 1, got 0"):
        kl_best_of_n(0)
    with pytest.raises(ConfigError, match="n must be at least 1, got 0"):
        kl_best_of_n_exact(np.ones(1), np.ones(1), 0)


def test_a_nan_is_never_sorted_as_the_best() -> None:
    with pytest.raises(DataError, match="nan would be sorted as the best"):
        expected_best_of_n(np.array([[0.0, math.nan]]), np.zeros((1, 2)), 1)
    with pytest.raises(DataError, match="scores must be finite"):
        expected_best_of_n(np.zeros((1, 2)), np.array([[0.0, -math.inf]]), 1)
    with pytest.raises(DataError, match="nan would be sorted as the best"):
        kl_best_of_n_exact(np.array([0.5, 0.5]), np.array([0.0, math.nan]), 2)


@pytest.mark.parametrize("probs", [[0.5, 0.4], [1.5, -0.5], [math.nan, 1.0]])
def test_what_is_not_a_distribution_is_refused(probs: list[float]) -> None:
    with pytest.raises(DataError, match="sum to 1"):
        kl_best_of_n_exact(np.array(probs), np.array([0.0, 1.0]), 2)


def test_scores_that_would_broadcast_are_refused() -> None:
    with pytest.raises(TypeCheckError, match="prompt sample"):
        expected_best_of_n(np.zeros((3, 5)), np.zeros((1, 5)), 2)
