"""Settings of sampling that nothing would read are refused by name, and so are those out of range."""

from typing import Any

import pytest

from preflab.errors import ConfigError
from preflab.models.adapters import AdapterConfig
from preflab.rollouts.generate import SamplingConfig
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.rollouts.servers.remote import ServerConfig
from preflab.rollouts.servers.vllm import VLLMConfig


def test_a_pause_before_attempts_that_are_never_made_is_refused() -> None:
    ServerConfig(retries=0)
    ServerConfig(retries=0, backoff_seconds=0.0)
    with pytest.raises(ConfigError, match=r"backoff_seconds=2.0 would change nothing with retries=0; leave it at 0.5"):
        ServerConfig(retries=0, backoff_seconds=2.0)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (SamplingConfig, {"temperature": float("nan")}, "temperature must be a number, got nan"),
        (SamplingConfig, {"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        (SamplingConfig, {"top_k": 0}, "top_k must be at least 1, got 0"),
        (ServerConfig, {"timeout_seconds": 0.0}, "timeout_seconds must be above 0, got 0.0"),
        (ServerConfig, {"concurrency": 0}, "concurrency must be at least 1, got 0"),
        (VLLMConfig, {"probe_limit": 0.0}, "probe_limit must be above 0, got 0.0"),
        (AdapterConfig, {"rank": 0}, "rank must be at least 1, got 0"),
        (AdapterConfig, {"alpha": 0.0}, "alpha must be above 0, got 0.0"),
        (PolicySpec, {"name": "a", "model": "tiny", "temperature": float("nan")}, "temperature"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(kind: type, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**changes)
