"""Each arm differs in one thing alone."""

from dataclasses import replace

import pytest

from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.oracle import OracleConfig
from preflab.errors import ConfigError
from preflab.recipes.christiano2017.arms import VARIANTS, Arm, arm_of, describe, is_budget

LOOP = LoopConfig(steps=800, pretrain_steps=400, queries=12, rollout_steps=50)


def arm(name: str) -> Arm:
    return arm_of(name, 700, LOOP, EnsembleConfig(return_l2=1e-3), OracleConfig())


def test_each_variant_differs_in_one_thing_alone() -> None:
    base = arm("labels700")
    changed = {
        name: tuple(getattr(arm(name), what) != getattr(base, what) for what in ("loop", "ensemble", "oracle"))
        for name in VARIANTS
    }
    assert changed == {
        "random": (True, False, False),
        "one": (True, True, False),
        "offline": (True, False, False),
        "weights_only": (False, True, False),
        "unregularised": (False, True, False),
        "steps": (True, False, False),
        "target": (False, True, False),
        "flips": (False, False, True),
        "flips_trusted": (False, True, True),
    }
    assert base.loop.queries == 700
    assert arm("flips").oracle == arm("flips_trusted").oracle


def test_one_predictor_differs_from_random_pairs_in_the_number_of_members_alone() -> None:
    one, random = arm("one"), arm("random")
    assert (one.loop, one.oracle) == (random.loop, random.oracle)
    assert one.ensemble == replace(random.ensemble, members=1)


def test_names_and_words() -> None:
    assert [name for name in ("labels7", "labels1", "labels", "labelsx", "random") if is_budget(name)] == ["labels7"]
    assert describe("labels1400") == "1,400 labels" and describe("true_reward") == "the true reward"


@pytest.mark.parametrize("wrong", ["label700", "labels1", "offlien"])
def test_others_are_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=f"no arm '{wrong}'"):
        arm(wrong)
