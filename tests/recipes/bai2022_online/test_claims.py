"""Verdicts of the online recipe from hand-made results."""

import pytest

from preflab.maths.statistics import Estimate
from preflab.recipes.bai2022_online.claims import verdicts
from preflab.recipes.bai2022_online.results import TruePreferenceGain


def estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 40)


def test_every_claim_is_judged_by_its_own_estimate() -> None:
    ratings = {"start": Estimate(0.0, 0.0, 0.0, 40), "round-0": estimate(-50.0, 90.0), "round-1": estimate(20.0, 80.0)}
    true_gain = TruePreferenceGain(gain=estimate(0.1, 0.3), wins=estimate(0.3, 0.45))
    accuracy, rating, liked = verdicts(1, estimate(0.45, 0.7), ratings, true_gain)
    assert (accuracy.outcome, rating.outcome, liked.outcome) == ("undecided", "holds", "fails")
    assert rating.claim.startswith("round-1 is rated above")
    assert (rating.unit, rating.estimate.value) == ("Elo", pytest.approx(50))


def test_what_nothing_can_be_said_of_is_left_out() -> None:
    assert verdicts(1, None, {}, None) == []
    assert verdicts(1, None, {"round-1": estimate(1.0, 2.0)}, None) == []  # nothing to be above of
