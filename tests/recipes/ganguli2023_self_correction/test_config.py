"""Settings that cannot be, and the scales."""

from typing import Any

import pytest

from preflab.errors import ConfigError
from preflab.recipes.ganguli2023_self_correction import SCALES, Config


@pytest.mark.parametrize(
    "change",
    [{"conditions": ("if",)}, {"conditions": ("q", "kindly")}, {"checkpoints": ("a/x", "b/x")}, {"students": 0},
     {"benchmarks": ()}],
)  # fmt: skip
def test_settings_that_cannot_be(change: dict[str, Any]) -> None:
    """Refused at once."""
    with pytest.raises(ConfigError):
        Config(**change)


def test_scales_are_settings_that_hold() -> None:
    """Each can be made; the small one leaves the data to be named."""
    assert {name: make().cot_tokens for name, make in SCALES.items()} == {
        "default": 48, "smoke": 4, "small": 48, "paper": 256,
    }  # fmt: skip
