"""Settings of control that nothing would read are refused by name, and so are those out of range."""

from dataclasses import replace
from typing import Any

import pytest

from preflab.control.agents.a2c import A2CConfig
from preflab.control.agents.ppo import PPOConfig
from preflab.control.environments.classic_tasks import ClassicEnv
from preflab.control.environments.gym_env import EpisodeConfig
from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.oracle import OracleConfig
from preflab.errors import ConfigError
from preflab.recipes.christiano2017.arms import VARIANTS, arm_of
from preflab.recipes.christiano2017.backflip.synthetic_labeller import SyntheticLabellerConfig

LOOP = LoopConfig(steps=800, pretrain_steps=400, queries=12, rollout_steps=50)


@pytest.mark.parametrize(
    ("start", "alive", "dead", "because"),
    [
        (LOOP, {"half_life": 50.0}, {"half_life": 50.0, "schedule": "constant"}, "schedule=constant"),
        (LOOP, {"oversample": 20}, {"oversample": 20, "random_queries": True}, "random_queries=true"),
        (
            LOOP,
            {"schedule": "stepwise"},
            {"schedule": "stepwise", "pretrain_label_share": 1.0},
            "pretrain_label_share=1",
        ),
        (LOOP, {"query_until": 0.5}, {"query_until": 0.5, "pretrain_label_share": 1.0}, "pretrain_label_share=1"),
        (EnsembleConfig(), {"lapse": 0.2}, {"lapse": 0.2, "target": True}, "target=true"),
        (EnsembleConfig(), {"l2_step": 0.2}, {"l2_step": 0.2, "bootstrap": False}, "bootstrap=false"),
        (EnsembleConfig(), {"l2_step": 0.2}, {"l2_step": 0.2, "l2": 0.0}, "l2=0"),
        (EnsembleConfig(), {"low_ratio": 1.2}, {"low_ratio": 1.2, "l2_step": 0.0}, "an l2 that is not adapted"),
        (SyntheticLabellerConfig(), {"upright": 0.5}, {"upright": 0.5, "landing": 0.0}, "landing=0"),
        (SyntheticLabellerConfig(), {"high": 0.4}, {"high": 0.4, "landing": 0.0, "turn": 0.0}, "turn=0 and landing=0"),
    ],
)
def test_a_setting_that_another_makes_dead_is_refused_and_passes_where_it_lives(
    start: Any, alive: dict[str, Any], dead: dict[str, Any], because: str
) -> None:
    replace(start, **alive)
    with pytest.raises(ConfigError, match=f"would change nothing with {because}"):
        replace(start, **dead)


@pytest.mark.parametrize("name", VARIANTS)
def test_an_ablation_may_kill_settings_that_were_changed(name: str) -> None:
    """Each ablation is made of settings that its own configs take, whatever the other arms need."""
    loop = replace(LOOP, schedule="stepwise", half_life=50.0, oversample=20, query_until=0.5)
    ensemble = EnsembleConfig(lapse=0.2, l2_step=0.2, low_ratio=1.2)
    assert arm_of(name, 12, loop, ensemble, OracleConfig()).name == name


@pytest.mark.parametrize(
    ("start", "changes", "message"),
    [
        (LOOP, {"pretrain_steps": 900}, r"pretrain_steps must be at most steps \(800\), got 900"),
        (LOOP, {"min_answered": 1.5}, r"answered must be in \[0, 1\], got 1.5"),
        (LOOP, {"half_life": float("nan")}, "half_life must be a number or null, got nan"),
        (EnsembleConfig(), {"lapse": 1.0}, r"lapse must be in \[0, 1\), got 1.0"),
        (EnsembleConfig(), {"low_ratio": 2.0}, r"low_ratio must be at most high_ratio \(1.5\), got 2.0"),
        (A2CConfig(), {"discount": 1.5}, r"discount must be in \[0, 1\], got 1.5"),
        (A2CConfig(), {"entropy_bonus": -0.1}, "entropy_bonus must be at least 0, got -0.1"),
        (PPOConfig(), {"hidden": (64, 0)}, r"hidden must be at least 1 unit in each layer, got \(64, 0\)"),
        (PPOConfig(), {"clip": 1.0}, r"clip must be in \(0, 1\), got 1.0"),
        (OracleConfig(), {"cannot_tell": -0.1}, r"cannot_tell must be in \[0, 1\], got -0.1"),
        (SyntheticLabellerConfig(), {"turn": float("inf")}, "turn must be a number, got inf"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(start: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(start, **changes)


@pytest.mark.parametrize("changes", [{"fps": 0.0}, {"clip_steps": 0}])
def test_a_rate_or_clip_of_nothing_is_refused_and_not_taken_for_the_default(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        ClassicEnv("Pendulum-v1", 1, episodes=EpisodeConfig(**changes))
