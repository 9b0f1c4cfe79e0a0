"""Accuracy, calibration and lead over baselines on pairs small enough to count by hand."""

import math

import numpy as np
import pytest

from preflab.conversion import to_json
from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.evals.metrics.baselines import BaselineResult
from preflab.evals.metrics.preference import evaluate_preferences, pair_scores

COMPARISONS = [
    Comparison(prompt=Dialogue.of("one"), replies=("a", "b", "c"), ranks=(0, 1, 1), category="x"),
    Comparison(prompt=Dialogue.of("two"), replies=("a", "b"), ranks=(1, 0), category="y"),
]
SCORES = [[1.0, 0.0, 3.0], [0.5, 0.5]]


def test_gaps_are_oriented_by_the_judge_and_ties_among_judgements_are_left_out() -> None:
    """Comparison 0: (0,1) is 1 - 0, (0,2) is 1 - 3, (1,2) is tied. Comparison 1: reply 1 is better, 0.5 - 0.5."""
    pairs = pair_scores(SCORES, COMPARISONS)
    assert pairs.gap.tolist() == [1.0, -2.0, 0.0]
    assert pairs.correct.tolist() == [1.0, 0.0, 0.5]
    assert pairs.categories == ["x", "x", "y"]
    assert len(set(pairs.groups.tolist())) == 2


def test_accuracy_loss_and_categories_are_means_over_pairs() -> None:
    report = evaluate_preferences(SCORES, COMPARISONS, bins=1)
    assert report.accuracy.value == pytest.approx(0.5)
    assert (report.accuracy.n, report.accuracy.clusters) == (3, 2)
    assert {name: e.value for name, e in report.by_category.items()} == {"x": 0.5, "y": 0.5}
    by_hand = [math.log1p(math.exp(-1)), math.log1p(math.exp(2)), math.log(2)]
    assert report.loss == pytest.approx(sum(by_hand) / 3)


def test_scores_that_know_nothing_pay_ln_2() -> None:
    assert evaluate_preferences([[0.0] * 3, [0.0] * 2], COMPARISONS, bins=1).loss == pytest.approx(math.log(2))


def test_the_lead_is_taken_pair_by_pair() -> None:
    baseline = BaselineResult(
        name="always wrong", correct=np.zeros(3), groups=pair_scores(SCORES, COMPARISONS).groups, note=""
    )
    report = evaluate_preferences(SCORES, COMPARISONS, [baseline], bins=1)
    assert report.lead["always wrong"].value == pytest.approx(0.5)
    assert report.baselines["always wrong"].value == 0.0


def test_a_model_that_is_right_as_often_as_it_says_is_calibrated() -> None:
    """Gap ln 3 says 75 %; of 400 such pairs 300 are right."""
    gap = math.log(3)
    comparisons = [
        Comparison(prompt=Dialogue.of(f"p{i}"), replies=("a", "b"), ranks=(0, 1) if i % 4 else (1, 0))
        for i in range(400)
    ]
    sure = evaluate_preferences([[gap, 0.0]] * 400, comparisons, bins=2)
    assert sure.calibration_error < 0.05
    too_sure = evaluate_preferences([[4.0, 0.0]] * 400, comparisons, bins=2)
    assert too_sure.calibration_error > 0.15


def test_nothing_but_ties_is_refused() -> None:
    tied = Comparison(prompt=Dialogue.of("x"), replies=("a", "b"), ranks=(0, 0))
    with pytest.raises(DataError, match="no pair with a clear label"):
        pair_scores([[1.0, 2.0]], [tied])


def test_the_report_is_json() -> None:
    found = to_json(evaluate_preferences(SCORES, COMPARISONS, bins=1))
    assert found["accuracy"]["n"] == 3
    assert set(found["calibration"][0]) == {"low", "high", "mean_prob", "frequency", "n"}
