"""The specification of an environment, and the protocol on a walk."""

import pytest

from preflab.control.environments.env import Continuous, Discrete, Spec, VectorEnv
from preflab.errors import ConfigError
from tests.control.walk import Walk


def test_a_walk_is_an_environment() -> None:
    assert isinstance(Walk(2), VectorEnv)


@pytest.mark.parametrize("actions", [Continuous(2), Discrete(3)])
def test_clips_must_fit_episodes(actions: Continuous | Discrete) -> None:
    assert Spec("x", (2,), actions, horizon=5, clip_steps=5, fps=10.0).frames_per_step == 1
    with pytest.raises(ConfigError, match="x: clips of 6 steps do not fit episodes of 5"):
        Spec("x", (2,), actions, horizon=5, clip_steps=6, fps=10.0)


@pytest.mark.parametrize("wrong", [{"horizon": 0}, {"clip_steps": 0}, {"fps": 0.0}, {"frames_per_step": 0}])
def test_lengths_and_rates_of_nothing_are_refused(wrong: dict[str, float]) -> None:
    settings = {"horizon": 5, "clip_steps": 2, "fps": 10.0} | wrong
    with pytest.raises(ConfigError, match="must be above 0"):
        Spec("x", (2,), Discrete(2), **settings)  # type: ignore[arg-type]
