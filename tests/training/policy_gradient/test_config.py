"""Settings of policy gradients that contradict one another, and sampling that the gradient would be wrong for."""

import dataclasses
from typing import Any

import pytest

from preflab.errors import ConfigError
from preflab.rollouts.generate import SamplingConfig
from preflab.training.policy_gradient.config import FILTERS, PolicyGradientConfig, check_sampling


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kl_coefficient": -0.1}, "pays for KL"),
        ({"measure_kl": False}, "kl_coefficient cannot do without"),
        ({"measure_kl": False, "kl_coefficient": 0.0, "kl_limit": 3.0}, "kl_limit cannot do without"),
        ({"kl_coefficient": 0.0, "kl_target": 3.0}, "start above 0"),
        ({"steps": 0}, "at least 1"),
        ({"max_staleness": -1}, "max_staleness"),
        ({"sampling": SamplingConfig(temperature=0.0)}, "temperature must be above 0"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PolicyGradientConfig(**changes)


OFF_DEFAULT: dict[str, Any] = {
    "top_k": 5,
    "top_p": 0.9,
    "repetition_penalty": 1.2,
    "no_repeat_ngram": 3,
}


def test_every_filter_is_a_setting_of_sampling() -> None:
    names = {field.name for field in dataclasses.fields(SamplingConfig)}
    assert set(FILTERS) == OFF_DEFAULT.keys()
    assert names - set(FILTERS) == {"max_new_tokens", "temperature", "max_batch"}  # these the gradient follows


@pytest.mark.parametrize("name", FILTERS)
def test_sampling_from_another_distribution_is_refused_by_the_name_of_the_setting(name: str) -> None:
    sampling = SamplingConfig(**{name: OFF_DEFAULT[name]})
    with pytest.raises(ConfigError, match=rf"sampling\.{name}={OFF_DEFAULT[name]} draws from another distribution"):
        PolicyGradientConfig(sampling=sampling)


def test_temperature_length_and_batch_may_be_set_for_log_probabilities_follow_them() -> None:
    sampling = SamplingConfig(max_new_tokens=3, temperature=0.7, max_batch=2)
    check_sampling(sampling)
    assert PolicyGradientConfig(sampling=sampling).sampling is sampling


def test_greedy_replies_are_no_samples() -> None:
    with pytest.raises(ConfigError, match="a policy gradient needs samples: temperature must be above 0"):
        check_sampling(SamplingConfig(temperature=0.0))


def test_without_kl_every_setting_that_needs_the_reference_is_named() -> None:
    with pytest.raises(ConfigError, match="which kl_coefficient, kl_limit, exact_kl_rows cannot do without"):
        PolicyGradientConfig(measure_kl=False, kl_limit=3.0, exact_kl_rows=2)
    assert not PolicyGradientConfig(measure_kl=False, kl_coefficient=0.0).measure_kl


def test_a_price_of_zero_may_be_measured_and_limited() -> None:
    config = PolicyGradientConfig(kl_coefficient=0.0, kl_limit=3.0, exact_kl_rows=2)
    assert (config.kl_coefficient, config.measure_kl) == (0.0, True)
