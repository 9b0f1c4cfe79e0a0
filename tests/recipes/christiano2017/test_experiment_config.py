"""Settings that the experiments share."""

from dataclasses import replace

import pytest

from preflab.control.loop_config import LoopConfig
from preflab.errors import ConfigError
from preflab.recipes.christiano2017.experiment_config import Experiment

LOOP = LoopConfig(steps=800, pretrain_steps=400, queries=5, rollout_steps=50)
CONFIG = Experiment(labels=12, arms=("true_reward", "labels12"), seeds=2, loop=LOOP)


def test_each_arm_has_queries_of_its_own() -> None:
    assert CONFIG.middle == "labels12"
    assert [CONFIG.arm(name).loop.queries for name in ("labels6", "labels12", "random")] == [6, 12, 12]
    assert list(CONFIG.unread()) == ["loop.queries"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": ()}, "arms must name at least one"),
        ({"arms": ("labels6", "labels6")}, "named twice"),
        ({"copies": 0}, "copies must be at least 1"),
        ({"arms": ("weights_only",)}, "'weights_only' differs from 'labels12' in nothing"),
        ({"loop": replace(LOOP, hide_true_reward=True)}, "the oracle would see no reward"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]
