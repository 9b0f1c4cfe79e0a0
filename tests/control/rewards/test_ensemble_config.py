"""Settings of the ensemble: the paper's by default, and what cannot be together is refused by name."""

from dataclasses import replace
from typing import Any

import pytest

from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.errors import ConfigError


def test_the_defaults_are_the_papers() -> None:
    config = EnsembleConfig()
    assert (config.members, config.lapse, config.bootstrap) == (3, 0.1, True)
    assert (config.low_ratio, config.high_ratio, config.target_std, config.discount) == (1.1, 1.5, 1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": 0}, "members must be at least 1, got 0"),
        ({"discount": 0.0}, r"discount must be in \(0, 1\], got 0.0"),
        ({"low_ratio": 2.0}, r"low_ratio must be at most high_ratio \(1.5\), got 2.0"),
        ({"target": True, "lapse": 0.2}, "lapse=0.2 would change nothing with target=true"),
        ({"bootstrap": False, "l2_step": 0.2}, "l2_step=0.2 would change nothing with bootstrap=false"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(EnsembleConfig(), **changes)
