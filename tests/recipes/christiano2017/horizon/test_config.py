"""Settings of the lesson on horizons."""

import pytest

from preflab.errors import ConfigError
from preflab.recipes.christiano2017.horizon.config import ARMS, SCALES, Config


def test_every_scale_pays_the_same_for_every_step() -> None:
    for make in SCALES.values():
        assert make().ppo.entropy_bonus == 0.0
    assert {reward for _, reward in ARMS.values()} == {1.0, -1.0}


@pytest.mark.parametrize("wrong", [{"seeds": 0}, {"updates": 1, "measure_every": 2}])
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        Config(**wrong)  # type: ignore[arg-type]
