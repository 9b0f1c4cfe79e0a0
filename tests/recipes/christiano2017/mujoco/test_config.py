"""Settings of `christiano2017_mujoco` that cannot be, and what each scale is."""

from dataclasses import replace

import pytest

from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.errors import ConfigError
from preflab.recipes.christiano2017.mujoco.config import paper, small

LOOP = LoopConfig(steps=800, pretrain_steps=400, queries=12, rollout_steps=50)


def test_the_papers_scale_halves_the_rate_of_labels_after_two_million_steps() -> None:
    config = paper()
    assert (config.loop.half_life, config.loop.queries, config.labels) == (2e6, 700, 700)
    assert (config.agent.discount, config.agent.gae_lambda, config.agent.entropy_bonus) == (0.995, 0.97, 0.01)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"arms": ("label700",)}, "no arm 'label700'"),
        ({"arms": ("labels7", "labels7")}, "named twice"),
        ({"task": "hoper"}, "hopper"),
        ({"loop": replace(LOOP, hide_true_reward=True)}, "no reward"),
        ({"seeds": 0}, "at least 1"),
        ({"ensemble": EnsembleConfig(return_l2=0.0)}, "'weights_only' differs from 'labels700' in nothing"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(small(), **wrong)  # type: ignore[arg-type]
