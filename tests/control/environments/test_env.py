"""The specification of an environment, and the protocol on a walk."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from preflab.control.environments.env import Continuous, Discrete, Spec, VectorEnv, checked_step
from preflab.errors import ConfigError, ContractError
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


class Returns(Walk):
    """A walk of two copies whose step gives what the test says in place of a field."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(2)
        self.fields = fields

    def step(self, actions: np.ndarray) -> Any:
        step = super().step(actions)
        names = ("observations", "true_reward", "dones", "final_observations", "terminations")
        return SimpleNamespace(**{name: getattr(step, name) for name in names} | self.fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"true_reward": np.zeros((2, 1))},
            r"expected true_reward as an array of numbers \[2\], found float64 \[2",
        ),
        ({"true_reward": 0.0}, "expected true_reward as an array of numbers .2., found float"),
        ({"true_reward": np.array([0.0, np.nan])}, "its true_reward are not finite"),
        (
            {"observations": np.zeros((1, 3))},
            r"expected observations as an array of numbers \[2, 2\], found float64 \[1",
        ),
        ({"observations": np.full((2, 2), np.inf)}, "its observations are not finite"),
        ({"dones": np.zeros(2)}, r"expected dones as an array of booleans \[2\], found float64 \[2\]"),
    ],
)
def test_what_an_environment_must_not_return_is_refused_with_its_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=f"environment walk: {message}"):
        checked_step(Returns(**fields), np.zeros((2, 1)))


def test_a_sound_step_is_handed_on() -> None:
    step = checked_step(Walk(2), np.ones((2, 1)))
    assert step.true_reward.tolist() == [1.0, 1.0]
