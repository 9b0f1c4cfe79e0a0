"""Settings of training that nothing would read are refused by name, and so are those out of range."""

from typing import Any

import pytest

from preflab.errors import ConfigError
from preflab.training.dpo import DPOConfig
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.ppo import PPOConfig
from preflab.training.policy_gradient.ptx import PtxConfig
from preflab.training.policy_gradient.reinforce import ReinforceConfig
from preflab.training.policy_gradient.rloo import RLOOConfig
from preflab.training.preference import PreferenceConfig
from preflab.training.sft import SFTConfig

UPDATES = r"epochs=1 and minibatches=1, a single update"


@pytest.mark.parametrize(
    ("kind", "alive", "dead", "because"),
    [
        (PolicyGradientConfig, {"kl_target": 6.0, "kl_horizon": 100}, {"kl_horizon": 100}, "kl_target=null"),
        (
            PolicyGradientConfig,
            {"missing_eos_penalty": 0.5},
            {"missing_eos_penalty": 0.5, "missing_eos_score": -1.0},
            "missing_eos_score=-1.0",
        ),
        (PtxConfig, {"coefficient": 1.0, "ratio": 4}, {"ratio": 4}, "coefficient=0"),
        (PtxConfig, {"coefficient": 1.0, "example_tokens": 64}, {"example_tokens": 64}, "coefficient=0"),
        (PPOConfig, {"clip": 0.1}, {"clip": 0.1, "epochs": 1, "minibatches": 1}, UPDATES),
        (PPOConfig, {"clip": 0.1, "epochs": 2}, {"clip": 0.1, "epochs": 1, "prompts_per_step": 1}, UPDATES),
        (RLOOConfig, {"clip": 0.1, "minibatches": 2}, {"clip": 0.1}, UPDATES),
        (ReinforceConfig, {"baseline_decay": 0.9}, {"baseline_decay": 0.9, "baseline": "value"}, "baseline=value"),
        (ReinforceConfig, {"value_clip": 0.2, "baseline": "value"}, {"value_clip": 0.2}, "baseline=mean"),
        (ReinforceConfig, {"normalise_values": True, "baseline": "value"}, {"normalise_values": True}, "baseline=mean"),
    ],
)
def test_a_setting_that_another_makes_dead_is_refused_and_passes_where_it_lives(
    kind: type, alive: dict[str, Any], dead: dict[str, Any], because: str
) -> None:
    kind(**alive)
    with pytest.raises(ConfigError, match=f"would change nothing with {because}"):
        kind(**dead)


def test_a_penalty_of_nothing_says_off_beside_a_score_that_replaces_it() -> None:
    assert PolicyGradientConfig(missing_eos_penalty=0.0, missing_eos_score=-1.0).missing_eos_penalty == 0


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (SFTConfig, {"batch_rows": 0}, "batch_rows must be at least 1, got 0"),
        (DPOConfig, {"beta": 0.0}, "beta must be above 0, got 0.0"),
        (DPOConfig, {"label_smoothing": 0.5}, r"label_smoothing must be in \[0, 0.5\), got 0.5"),
        (PtxConfig, {"coefficient": float("nan")}, "coefficient must be a number, got nan"),
        (PolicyGradientConfig, {"steps": 0}, "steps must be at least 1, got 0"),
        (PolicyGradientConfig, {"ema_decay": 1.0}, r"ema_decay must be in \[0, 1\), got 1.0"),
        (PolicyGradientConfig, {"kl_target": -1.0}, "kl_target must be above 0, got -1.0"),
        (PolicyGradientConfig, {"missing_eos_penalty": -1.0}, "missing_eos_penalty must be at least 0, got -1.0"),
        (PPOConfig, {"gae_lambda": 1.5}, r"gae_lambda must be in \[0, 1\], got 1.5"),
        (PPOConfig, {"clip": -0.2}, "clip must be above 0, got -0.2"),
        (PPOConfig, {"value_clip": 0.0}, "value_clip must be above 0, got 0.0"),
        (RLOOConfig, {"minibatches": 0}, "minibatches must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(kind: type, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**changes)


@pytest.mark.parametrize(
    ("kind", "name", "choices"),
    [
        (PreferenceConfig, "loss", "all-pairs, plackett-luce"),
        (PreferenceConfig, "divide_by", "remaining, all"),
        (DPOConfig, "loss", "dpo, ipo"),
        (ReinforceConfig, "baseline", "mean, value"),
        (OptimiserConfig, "schedule", "constant, linear, linear-to-tenth, cosine"),
    ],
)
def test_an_unknown_choice_is_refused_with_those_there_are(kind: type, name: str, choices: str) -> None:
    config = kind()
    object.__setattr__(config, name, "hinge")  # the hook of these tests checks what __init__ is given before we do
    with pytest.raises(ConfigError, match=f"{name} must be one of {choices}, got 'hinge'"):
        config.__post_init__()
