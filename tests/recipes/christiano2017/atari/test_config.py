"""Settings of `christiano2017_atari` that cannot be, and the paper's."""

from dataclasses import replace

import pytest

from preflab.errors import ConfigError
from preflab.recipes.christiano2017.atari.config import paper, small


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"game": "breakuot"}, "breakout"),
        ({"arms": ("steps",)}, "for MuJoCo"),
        ({"arms": ("label700",)}, "no arm 'label700'"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(small(), **wrong)  # type: ignore[arg-type]


def test_play_without_a_window_has_no_returns() -> None:
    config = small()
    with pytest.raises(ConfigError, match=r"loop\.window"):
        replace(config, loop=replace(config.loop, window=None))


def test_the_papers_scale_is_the_papers() -> None:
    config = paper()
    assert (config.loop.steps, config.copies, config.agent.steps, config.agent.learning_rate) == (50e6, 16, 5, 7e-4)
    assert round(config.arm("labels5500").loop.pretrain_label_share * 5500) == 500
    assert config.seeds == 3
    assert (config.ensemble.members, config.ensemble.target_std, config.loop.label_buffer) == (3, 0.05, 3000)
