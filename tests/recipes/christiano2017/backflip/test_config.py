"""Settings of the backflip that cannot be, or that nothing reads."""

from dataclasses import replace

import pytest

from preflab.errors import ConfigError
from preflab.recipes.christiano2017.backflip.config import SCALES, smoke
from preflab.runner.catalogue import recipe_named
from preflab.runner.launch import resolve


def test_no_scale_shows_anybody_the_hoppers_own_reward() -> None:
    assert all(make().loop.hide_true_reward for make in SCALES.values())
    with pytest.raises(ConfigError, match="hide_true_reward=false: this recipe shows nobody"):
        replace(smoke(), loop=replace(smoke().loop, hide_true_reward=False))


def test_settings_of_the_other_labeller_are_not_read() -> None:
    assert smoke().unread() == dict.fromkeys(("store", "study", "videos"), "labeller=synthetic")
    assert replace(smoke(), labeller="human").unread() == {"synthetic": "labeller=human"}


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="labeller must be one of synthetic, human"):
        resolve(recipe_named("christiano2017_backflip"), scale="smoke", assignments=["labeller=oracle"])
    with pytest.raises(ConfigError, match="whole multiple"):
        replace(smoke(), loop=replace(smoke().loop, rollout_steps=70))
