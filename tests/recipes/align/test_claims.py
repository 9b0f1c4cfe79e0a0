"""Verdicts of ``align`` from estimates by hand, under the words by which the registry of sources knows them."""

import pytest

from preflab.conversion import to_json
from preflab.maths.statistics import Estimate
from preflab.recipes.align.claims import (
    BAI,
    GAO,
    overoptimisation_verdicts,
    policy_verdicts,
    preference_verdicts,
    stage_verdicts,
)
from preflab.recipes.align.results import ByJudge, ByPolicyAndJudge, WinRateGaps
from preflab.reporting.verdicts import Verdict
from preflab.runner.sources import claim_of
from tests.recipes.align.results_of import preference

ABOVE, ACROSS, BELOW = Estimate(0.7, 0.6, 0.8, 64), Estimate(0.5, 0.4, 0.6, 64), Estimate(0.2, 0.1, 0.3, 64)
"""Shares against a threshold of a half."""
POSITIVE, AROUND, NEGATIVE = Estimate(0.3, 0.1, 0.5, 64), Estimate(0.1, -0.1, 0.3, 64), Estimate(-0.3, -0.5, -0.1, 64)
"""Differences against a threshold of 0."""


def policies(method: str = "PPO") -> list[Verdict]:
    gain = ByPolicyAndJudge(
        best_of_n=ByJudge(training_pm=POSITIVE, held_out_pm=NEGATIVE),
        trained=ByJudge(training_pm=AROUND, held_out_pm=POSITIVE),
    )
    wins = ByPolicyAndJudge(
        best_of_n=ByJudge(training_pm=ABOVE, held_out_pm=ACROSS),
        trained=ByJudge(training_pm=ABOVE, held_out_pm=BELOW),
    )
    return policy_verdicts(gain, wins, Estimate(2.04, 1.0, 3.0, 64), method)


def test_a_preference_model_is_held_against_chance_and_every_baseline() -> None:
    verdicts = preference_verdicts(ABOVE, {"length": AROUND, "bag of words": NEGATIVE})
    assert [(v.claim, v.outcome, v.threshold) for v in verdicts] == [
        ("picks the better of two unseen replies", "holds", 0.5),
        ("is more often right than length", "undecided", 0.0),
        ("is more often right than bag of words", "fails", 0.0),
    ]
    assert {v.source for v in verdicts} == {BAI}


def test_a_policy_gains_by_the_first_model_and_wins_by_the_second() -> None:
    assert [(v.claim, v.outcome, v.unit, v.source) for v in policies()] == [
        ("best-of-n raises the score on unseen prompts", "holds", "nats", GAO),
        ("best-of-n wins over the base by the second model", "undecided", "share", BAI),
        ("PPO raises the score on unseen prompts (at KL 2.0 nats)", "undecided", "nats", BAI),
        ("PPO wins over the base by the second model", "fails", "share", BAI),
    ]


def test_over_optimisation_is_claimed_of_a_gap_that_lies_above_nothing() -> None:
    verdicts = overoptimisation_verdicts(WinRateGaps(best_of_n=AROUND, trained=POSITIVE), "RLOO")
    assert [v.outcome for v in verdicts] == ["undecided", "holds"]
    assert verdicts[1].claim.startswith("RLOO wins more often by the model it is trained on")


@pytest.mark.parametrize("method", ["PPO", "RLOO", "REINFORCE"])
def test_the_registry_of_sources_knows_every_claim(method: str) -> None:
    gaps = WinRateGaps(best_of_n=AROUND, trained=POSITIVE)
    by_stage = {
        "preference": preference_verdicts(ABOVE, {"length": AROUND, "bag of words": AROUND}),
        "preference_judge": preference_verdicts(ABOVE, {"length": AROUND, "bag of words": AROUND}),
        "measure": policies(method) + overoptimisation_verdicts(gaps, method),
    }
    claims = [claim_of("align", v.claim, stage, {}) for stage, verdicts in by_stage.items() for v in verdicts]
    assert None not in claims
    assert len({claim[0].id for claim in claims if claim is not None}) == 12


def test_stages_that_left_no_result_have_no_verdicts() -> None:
    result = to_json(preference(0.7)) | {"seconds": 2.0}
    verdicts = stage_verdicts({"preference": result, "measure": {}})
    assert verdicts == {"preference": preference_verdicts(preference(0.7).accuracy, preference(0.7).lead)}
    assert [v.outcome for v in verdicts["preference"]] == ["holds", "holds", "undecided"]
