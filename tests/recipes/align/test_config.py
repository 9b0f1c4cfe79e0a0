"""Settings of ``align``: what cannot be meant is refused, what nothing reads is named."""

from dataclasses import replace

import pytest

from preflab.config_overrides import apply_overrides
from preflab.errors import ConfigError
from preflab.recipes.align.config import ORDER, SCALES, Config, default, smoke
from preflab.training.policy_gradient.ppo import PPOConfig
from preflab.training.policy_gradient.reinforce import ReinforceConfig
from preflab.training.policy_gradient.rloo import RLOOConfig


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"ppo.ptx.coefficient": 1.0}, "go together"),
        ({"pretraining": "text.txt"}, "go together"),
        ({"algorithm": "grpo"}, "one of ppo, rloo, reinforce"),
        ({"ppo.measure_kl": False, "ppo.kl_coefficient": 0.0, "ppo.kl_limit": None}, "needs KL"),
        ({"rloo.sampling.max_new_tokens": 3}, "is not read"),
        ({"held_out_pm_share": 0.0}, "held_out_pm_share"),
        ({"held_out_pm_share": 1.0}, "held_out_pm_share"),
        ({"best_of_n": 0}, "best_of_n"),
        ({"suite_items": 0}, "suite_items"),
        ({"sampler": "vllm"}, "'vllm' is no address"),
        ({"vllm.max_staleness": 2}, r"set ppo\.max_staleness"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_overrides(smoke(), overrides)


def test_the_settings_of_the_training_are_those_of_the_algorithm() -> None:
    kinds = {"ppo": PPOConfig, "rloo": RLOOConfig, "reinforce": ReinforceConfig}
    for algorithm, kind in kinds.items():
        config = apply_overrides(default(), {"algorithm": algorithm})
        assert type(config.training) is kind
        assert config.unread().keys() >= kinds.keys() - {algorithm}


def test_a_value_model_is_read_by_methods_that_have_one() -> None:
    assert "value_model" not in default().unread()
    assert "value_model" in apply_overrides(default(), {"algorithm": "rloo"}).unread()
    by_mean = apply_overrides(default(), {"algorithm": "reinforce"})
    assert by_mean.reinforce.baseline == "mean"
    assert "value_model" in by_mean.unread()
    by_value = replace(by_mean, reinforce=replace(by_mean.reinforce, baseline="value"))
    assert "value_model" not in by_value.unread()
    whole = apply_overrides(default(), {"value_model": "model"}).unread()
    assert "ppo.value_head_updates" in whole


def test_scales_differ_in_size_and_go_to_the_end() -> None:
    assert set(SCALES) == {"default", "smoke", "large"}
    assert all(make().until == ORDER[-1] for make in SCALES.values())
    assert smoke().ppo.steps < default().ppo.steps < SCALES["large"]().ppo.steps
    assert Config() == default()
