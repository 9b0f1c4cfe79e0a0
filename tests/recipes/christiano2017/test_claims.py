"""What the claims are made of, on numbers by hand."""

from typing import Any

import numpy as np

from preflab.recipes.christiano2017.claims import verdicts
from preflab.recipes.christiano2017.results import ArmResult

ZERO = np.zeros(3)


def result(**numbers: Any) -> ArmResult:
    """A result of which only these numbers matter."""
    curves = {"curve": (), "learned_curve": (), "scores": (), "episodes": (), "labels": {}, "steps": 1}
    optional = ("rank_correlation", "disagreement_asked", "disagreement_candidates", "held_out_accuracy")
    missing = dict.fromkeys((*optional, "mean_reward", "std_reward"))
    return ArmResult(**{**curves, **missing, **numbers})


def outcomes(found: list[Any]) -> list[tuple[str, float]]:
    return [(own.outcome, round(own.estimate.value, 3)) for own in found]


def test_claims_are_made_of_the_arms_that_were_run_and_paired_by_seed() -> None:
    returns = {
        "true_reward": np.array([100.0, 110.0, 90.0]),
        "labels350": np.array([50.0, 60.0, 40.0]),
        "labels700": np.array([91.0, 101.0, 81.0]),  # 41 above at each seed
        "offline": np.array([95.0, 105.0, 85.0]),
    }
    results = {"labels700": [result(rank_correlation=0.9)] * 3}
    assert outcomes(verdicts(returns, ZERO, results, "labels700")) == [
        ("holds", 41.0),
        ("holds", 0.91),  # 91 of 100; 11, 13 and 9 above four fifths
        ("fails", -4.0),
        ("holds", 0.9),
    ]
    assert not verdicts({"labels5": np.ones(2)}, np.zeros(2), {}, "labels700")


def test_a_true_reward_that_teaches_nothing_is_nothing_to_come_near_to() -> None:
    returns = {"true_reward": ZERO - 1, "labels7": ZERO + 1}
    assert not verdicts(returns, ZERO, {}, "labels7")


def test_early_labels_alone_are_judged_by_what_rises_and_what_does_not() -> None:
    """From the first part in which an episode ended to the last."""
    rising = [result(learned_curve=(None, -5.0, 2.0 + k), curve=(None, 10.0, 8.0)) for k in (0.0, 1.0)]
    assert outcomes(verdicts({}, ZERO, {"offline": rising}, "labels7")) == [("holds", 7.5), ("holds", 2.0)]
    still = [result(learned_curve=(1.0, 1.0), curve=(1.0, 4.0))] * 3
    assert outcomes(verdicts({}, ZERO, {"offline": still}, "labels7")) == [("undecided", 0.0), ("fails", -3.0)]


def test_the_lapse_rate_is_judged_by_answers_held_out() -> None:
    results = {
        "flips": [result(held_out_accuracy=value) for value in (0.80, 0.82, 0.81)],
        "flips_trusted": [result(held_out_accuracy=value) for value in (0.75, 0.77, 0.76)],
    }
    (own,) = verdicts({}, ZERO, results, "labels7")
    assert own.outcome == "holds" and round(own.estimate.value, 6) == 5.0 and own.unit == "percentage points"
    assert not verdicts({}, ZERO, {"flips": results["flips"]}, "labels7")


def test_disputes_and_the_scale_of_rewards_are_read_off_the_middle_arm() -> None:
    seed = result(
        disagreement_asked=0.10,
        disagreement_candidates=0.04,
        disagreement_at_end=0.12,
        mean_reward=-0.001,
        std_reward=0.04,
        target_std=0.05,
    )
    found = verdicts({}, ZERO, {"labels7": [seed] * 3}, "labels7")
    assert outcomes(found) == [
        ("holds", 0.06),
        ("fails", -0.02),  # they are more disputed than they were
        ("holds", 0.03),  # 0.02 deviations off, of 0.05
        ("fails", -0.1),  # 0.8 deviations, off by 0.2 of 0.1
    ]


def test_a_seed_that_tells_nothing_leaves_its_claim_out() -> None:
    results = {"labels7": [result(rank_correlation=0.9), result()]}
    assert not verdicts({}, ZERO, results, "labels7")
