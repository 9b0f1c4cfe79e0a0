"""Verdicts of ``rafailov2023_dpo`` from estimates by hand; the registry of sources knows their words."""

from dataclasses import replace

import pytest

from preflab.recipes.rafailov2023_dpo.claims import SOURCES, Loss, implicit_reward_verdicts, policy_verdicts
from preflab.runner.sources import claim_of
from tests.recipes.rafailov2023_dpo.results_of import dpo, estimate


@pytest.mark.parametrize("loss", ["dpo", "ipo"])
def test_implicit_rewards_are_held_against_chance_and_every_baseline(loss: Loss) -> None:
    verdicts = implicit_reward_verdicts(dpo(), loss)
    assert [(v.claim, v.outcome, v.threshold, v.unit) for v in verdicts] == [
        ("implicit rewards pick the better of two unseen replies", "holds", 0.5, "share"),  # [0.6, 0.8]
        ("... more often than length", "holds", 0.0, "share"),  # [0.1, 0.2]
        ("... more often than bag of words", "undecided", 0.0, "share"),  # [-0.05, 0.15]
    ]
    assert {v.source for v in verdicts} == {SOURCES[loss]}


def test_rewards_that_order_pairs_the_wrong_way_fail() -> None:
    wrong = replace(dpo(), accuracy=estimate(0.3, 0.1), lead={"length": estimate(-0.3, 0.1)})
    assert [v.outcome for v in implicit_reward_verdicts(wrong, "dpo")] == ["fails", "fails"]


def test_a_gain_is_claimed_with_the_kl_that_it_was_bought_with() -> None:
    gain, wins = policy_verdicts(estimate(0.5, 0.6), estimate(0.65, 0.1), estimate(3.04, 0.5), "ipo")
    assert (gain.claim, gain.outcome) == (
        "IPO raises the judge's score on unseen prompts (at KL 3.0 nats)",
        "undecided",
    )
    assert (gain.unit, gain.threshold) == ("nats", 0.0)
    assert (wins.claim, wins.outcome) == ("IPO wins over its reference by the judge", "holds")
    assert (wins.unit, wins.threshold) == ("share", 0.5)


@pytest.mark.parametrize("loss", ["dpo", "ipo"])
def test_the_registry_of_sources_knows_every_claim(loss: Loss) -> None:
    by_stage = {
        "dpo": implicit_reward_verdicts(dpo(), loss),
        "measure": policy_verdicts(estimate(0.5, 0.1), estimate(0.6, 0.05), estimate(3.0, 0.5), loss),
    }
    claims = [
        claim_of("rafailov2023_dpo", v.claim, stage, {}) for stage, verdicts in by_stage.items() for v in verdicts
    ]
    assert None not in claims and len(claims) == 5
