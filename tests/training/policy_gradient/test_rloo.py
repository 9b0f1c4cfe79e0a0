"""RLOO's own settings; its numbers are held against float64 in test_policy_gradient_oracle."""

import pytest

from preflab.errors import ConfigError
from preflab.training.policy_gradient.rloo import RLOOConfig


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"samples_per_prompt": 1}, "at least 2"), ({"epochs": 0}, "epochs must be at least 1, got 0")],
)
def test_impossible_settings_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RLOOConfig(**changes)  # type: ignore[arg-type]
