"""The comparison of policies on two prompts, by hand."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from preflab.data.dialogue import Dialogue
from preflab.recipes.align.measure import (
    JudgedScores,
    TrainedReplies,
    best_of_n_curve,
    compare_policies,
    kl_of_drawn,
    powers_of_two,
    root_kl_fit,
    win_rate_gap,
    wins_by_category,
)
from preflab.recipes.align.results import MeanScores, MeasureResult, PolicyScores, ReplyCounts, ScoredReplies
from preflab.recipes.common.reply_evaluation import EvaluationPrompt
from tests.recipes.align.results_of import best_of_n

BEST = replace(
    best_of_n(),
    centre=MeanScores(training_pm=1.0, held_out_pm=2.0),
    base=ScoredReplies(texts=["b0", "b1"], training_pm=[0.0, 1.0], held_out_pm=[2.0, 2.0]),
    best=ScoredReplies(texts=["n0", "n1"], training_pm=[1.0, 3.0], held_out_pm=[2.0, 1.0]),
)
TRAINED = TrainedReplies(
    texts=[["p00", "p01"], ["p10", "p11"]],
    scores=JudgedScores(np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[3.0, 3.0], [3.0, 2.0]])),
    log_ratios=np.array([[1.0, 3.0], [2.0, 2.0]]),
    counts=ReplyCounts(sampled_tokens=8, measured_tokens=40, ended_share=0.25),
)
PROMPTS = [EvaluationPrompt(Dialogue.of(f"q{i}"), category, (1, 2)) for i, category in enumerate("xy")]


@pytest.fixture(scope="module")
def result() -> MeasureResult:
    return compare_policies(PROMPTS, BEST, TRAINED, None, n=4, method="PPO")


def test_gains_wins_and_kl(result: MeasureResult) -> None:
    assert result.gain.best_of_n.training_pm.value == pytest.approx(1.5)  # (1 - 0 + 3 - 1) / 2
    assert result.gain.trained.training_pm.value == pytest.approx(0.5)  # (1 + 2 - 1 + 0) / 4
    assert result.win_rate.trained.training_pm.value == pytest.approx((1 + 1 + 0 + 0.5) / 4)  # the tie counts half
    assert result.win_rate.best_of_n.held_out_pm.value == pytest.approx(0.25)  # a tie and a loss
    assert (result.kl.trained.value, result.kl.trained.clusters) == (2.0, 2)
    assert result.kl.best_of_n == pytest.approx(np.log(4) - 3 / 4)
    assert result.win_rate_by_category["x"].value == 1.0


def test_gaps_of_win_rates_are_of_the_same_replies(result: MeasureResult) -> None:
    assert result.win_rate_gap.best_of_n.value == pytest.approx(1.0 - 0.25)
    assert result.win_rate_gap.trained.value == pytest.approx(0.625 - 0.875)  # by the second: three wins and a tie


def test_counts_facts_and_n_are_taken_over(result: MeasureResult) -> None:
    assert (result.n, result.sampled_tokens, result.measured_tokens, result.ended_share) == (4, 8, 40, 0.25)
    assert (result.facts.base.n, result.facts.best_of_n.n, result.facts.trained.n) == (2, 2, 4)
    assert result.root_kl_fit is None


def test_examples_hold_every_prompt_with_centred_scores(result: MeasureResult) -> None:
    first, second = result.examples
    assert (first.base, first.best_of_n, first.trained, first.category) == ("b0", "n0", "p00", "x")
    assert first.scores == PolicyScores(base=0.0, best_of_n=0.0, trained=1.0)
    assert second.scores == PolicyScores(base=0.0, best_of_n=-1.0, trained=1.0)
    assert first.prompt == [{"role": "user", "content": "q0"}]


def test_verdicts_name_the_method_and_the_kl_they_were_reached_at(result: MeasureResult) -> None:
    assert len(result.verdicts) == 6
    assert result.verdicts[2].claim == "PPO raises the score on unseen prompts (at KL 2.0 nats)"


def test_a_category_without_a_name_has_no_win_rate() -> None:
    policy, base = np.array([[1.0, 0.0], [2.0, 2.0], [0.0, 0.0]]), np.array([0.5, 1.0, 1.0])
    wins = wins_by_category(policy, base, ["b", "", "b"])
    assert list(wins) == ["b"]
    assert (wins["b"].value, wins["b"].n, wins["b"].clusters) == (0.25, 4, 2)


def test_a_score_that_rises_with_the_root_is_straighter_in_the_root() -> None:
    kl, score = [k * k / 10 for k in range(8)], [0.3 * k - 1 for k in range(8)]
    fit = root_kl_fit(kl, score)
    assert fit is not None
    assert fit.r_squared == pytest.approx(1.0)
    assert fit.r_squared_in_kl < 0.98
    assert (fit.slope, fit.intercept, fit.n) == (pytest.approx(0.3 * 10**0.5), pytest.approx(-1.0), 8)


@pytest.mark.parametrize("kl", [[0.0, 0.1], [0.2, 0.2, 0.2], [-0.1, -0.2, 0.0], []])
def test_no_line_is_fitted_to_two_steps_or_to_a_kl_that_does_not_move(kl: list[float]) -> None:
    assert root_kl_fit(kl, [0.1 * k for k in range(len(kl))]) is None


def test_the_gap_of_two_win_rates_is_over_the_same_replies_by_prompt() -> None:
    base = JudgedScores(np.zeros(2), np.zeros(2))
    policy = JudgedScores(np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([[1.0, -1.0], [0.0, 100.0]]))
    # by the first model all four win; by the other win, loss, tie, win: gaps 0, 1, 0.5, 0; means by prompt 0.5 and 0.25
    gap = win_rate_gap(base, policy)
    assert gap.value == 0.375
    assert (gap.n, gap.clusters) == (4, 2)
    one_reply = win_rate_gap(base, JudgedScores(np.array([1.0, -1.0]), np.array([1.0, 1.0])))
    assert one_reply.value == -0.5


@pytest.mark.parametrize(("most", "powers"), [(1, [1]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_n_doubles_up_to_the_largest(most: int, powers: list[int]) -> None:
    assert powers_of_two(most) == powers


def test_the_curve_is_the_mean_over_all_subsets_of_the_replies() -> None:
    rng = np.random.default_rng(3)
    scores = JudgedScores(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)))
    curve = best_of_n_curve(scores, MeanScores(training_pm=0.5, held_out_pm=-0.5), 4)
    assert [point.n for point in curve] == [1, 2, 4]
    for point in curve:
        picks = [
            [max(subset, key=lambda k: row[k]) for subset in combinations(range(4), point.n)]
            for row in scores.training_pm
        ]
        expected = np.mean([[row[k] for k in chosen] for row, chosen in zip(scores.training_pm, picks, strict=True)])
        held_out = np.mean([[row[k] for k in chosen] for row, chosen in zip(scores.held_out_pm, picks, strict=True)])
        assert point.score.value == pytest.approx(expected - 0.5)
        assert point.held_out_score.value == pytest.approx(held_out + 0.5)
        assert point.kl == pytest.approx(np.log(point.n) - (point.n - 1) / point.n)


def test_the_exact_kl_of_drawn_replies_by_hand() -> None:
    # Best of 2 of two replies: odds 3 to 1, 3/4 ln(3/2) + 1/4 ln(1/2) = 0.1308. Two of one score are one outcome: 0.
    kl = kl_of_drawn(np.array([[0.0, 1.0], [2.0, 2.0]]), 2)
    assert kl.value == pytest.approx((0.75 * np.log(1.5) - 0.25 * np.log(2)) / 2) and kl.n == 2
    assert kl_of_drawn(np.array([[0.0, 1.0]] * 2), 1).value == pytest.approx(0.0, abs=1e-12)


def test_the_exact_kl_is_at_most_the_bound_and_near_it_where_many_replies_differ() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 2_000))
    bound = np.log(8) - 7 / 8
    assert 0.99 * bound < kl_of_drawn(scores, 8).value <= bound
    [point] = [p for p in best_of_n_curve(JudgedScores(scores, scores), MeanScores(training_pm=0.0, held_out_pm=0.0), 2)
               if p.n == 2]  # fmt: skip
    assert point.kl_of_drawn == kl_of_drawn(scores, 2)
