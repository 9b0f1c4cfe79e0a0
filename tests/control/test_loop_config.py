"""Settings of the loop that cannot be, and clips that would never be whole."""

from dataclasses import replace

import pytest

from preflab.control.loop_config import LoopConfig, clip_steps_of
from preflab.errors import ConfigError
from tests.control.walk import Walk

SHORT = LoopConfig(steps=800, pretrain_steps=160, queries=40, rollout_steps=20, pretrain_epochs=5, candidates=60)


def clip_steps(config: LoopConfig) -> int:
    return clip_steps_of(config, Walk(4).spec, 4)


def test_a_clip_has_the_environments_steps_or_its_own() -> None:
    assert (clip_steps(SHORT), clip_steps(replace(SHORT, clip_steps=1))) == (3, 1)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="pretrain_label_share"):
        replace(SHORT, pretrain_label_share=0.0)
    with pytest.raises(ConfigError, match="divisor of rollout_steps"):
        replace(SHORT, update_steps=7)
    with pytest.raises(ConfigError, match="query_until"):
        replace(SHORT, query_until=0.0)
    with pytest.raises(ConfigError, match="multiple of the 4 copies"):
        clip_steps(replace(SHORT, pretrain_steps=161))
    with pytest.raises(ConfigError, match="that rise from 0 to 1"):
        replace(SHORT, schedule="custom")
    with pytest.raises(ConfigError, match="points are of the schedule custom"):
        replace(SHORT, points=((0.5, 0.5),))
    for name, message in (("epochs", "epochs must be at least 1"), ("candidates", "candidates must be at least 2")):
        with pytest.raises(ConfigError, match=message):
            replace(SHORT, **{name: -1})
    with pytest.raises(ConfigError, match="no clip of 21 steps"):
        replace(SHORT, clip_steps=21)
    with pytest.raises(ConfigError, match="a clip has 3 steps, a rollout 2: none would ever be whole"):
        clip_steps(replace(SHORT, rollout_steps=2))
    with pytest.raises(ConfigError, match="a clip has 6 steps, an episode 5"):
        clip_steps(replace(SHORT, clip_steps=6))
