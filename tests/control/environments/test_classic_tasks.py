"""Tasks stepped all at once are, number for number, Gymnasium's own."""

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="needs the extra 'control'")

import gymnasium

from preflab.control.environments.classic_tasks import CLASSIC, ClassicEnv, make_gym
from preflab.control.environments.env import Discrete
from preflab.control.environments.gym_env import Ends, EpisodeConfig, GymEnv
from preflab.errors import ConfigError, DataError
from tests.control.environments.test_gym_env import acting


@pytest.mark.parametrize(
    ("task", "ends"), [("Pendulum-v1", "refuse"), ("CartPole-v1", "hide"), ("CartPole-v1", "show")]
)
def test_every_number_of_every_step_is_that_of_gymnasiums_environment(task: str, ends: Ends) -> None:
    ours = ClassicEnv(task, 5, seed=3, episodes=EpisodeConfig(ends=ends, horizon=60))
    theirs = GymEnv(task, 5, seed=3, episodes=EpisodeConfig(ends=ends, horizon=60))
    assert ours.spec == theirs.spec
    np.testing.assert_array_equal(ours.observations, theirs.observations)
    for a, b in zip(acting(ours, 300, 1), acting(theirs, 300, 1), strict=True):
        np.testing.assert_array_equal(a.dones, b.dones)
        np.testing.assert_array_equal(a.terminations, b.terminations)
        np.testing.assert_allclose(a.observations, b.observations, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(a.final_observations, b.final_observations, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(a.true_reward, b.true_reward, rtol=1e-9, atol=1e-12)
    assert ours.early_ends == theirs.early_ends
    assert (ours.early_ends > 0) == (task == "CartPole-v1")


@pytest.mark.parametrize("task", list(CLASSIC))
def test_limits_rates_and_bounds_are_gymnasiums(task: str) -> None:
    made, ours = gymnasium.make(task), ClassicEnv(task, 1)
    assert made.spec is not None
    assert (ours.spec.horizon, ours.spec.fps) == (made.spec.max_episode_steps, made.metadata["render_fps"])
    if isinstance(ours.spec.actions, Discrete):
        assert ours.spec.actions.n == made.action_space.n  # type: ignore[attr-defined]
    else:
        assert (ours.spec.actions.low, ours.spec.actions.high) == (made.action_space.low, made.action_space.high)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("task", "ends"), [("Pendulum-v1", "refuse"), ("CartPole-v1", "hide"), ("CartPole-v1", "show")]
)
def test_one_that_is_given_anothers_state_goes_on_as_it(task: str, ends: Ends) -> None:
    first, second = (ClassicEnv(task, 3, seed=2, episodes=EpisodeConfig(ends=ends, horizon=70)) for _ in range(2))
    acting(first, 100)
    second.load_state(first.state())
    for a, b in zip(acting(first, 80, 4), acting(second, 80, 4), strict=True):
        for name in ("observations", "true_reward", "dones", "final_observations", "terminations"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert first.early_ends == second.early_ends


def test_a_pendulum_by_hand() -> None:
    env = ClassicEnv("Pendulum-v1", 1)
    state = env.state()
    state["state"][0] = state["state"].new_tensor([np.pi / 2, 1.0])
    env.load_state(state)
    step = env.step(np.array([[5.0]]))  # clipped to 2
    # cost (pi/2)^2 + 0.1 + 0.001 * 4; speed 1 + (15 * 1 + 3 * 2) * 0.05 = 2.05; angle pi/2 + 0.1025
    assert step.true_reward[0] == pytest.approx(-(np.pi**2 / 4 + 0.104))
    np.testing.assert_allclose(step.observations[0], [-np.sin(0.1025), np.cos(0.1025), 2.05], rtol=1e-6)


def test_an_early_end_is_refused_with_the_reason_and_a_bad_action_is_named() -> None:
    with pytest.raises(ConfigError, match=r"CartPole-v1, copy \d, episode 0, step \d+ of 500.*what is good"):
        acting(ClassicEnv("CartPole-v1", 4), 200)
    with pytest.raises(DataError, match="not finite"):
        ClassicEnv("Pendulum-v1", 1).step(np.array([[np.nan]]))
    with pytest.raises(ConfigError, match="expected one of Pendulum-v1, CartPole-v1"):
        ClassicEnv("Acrobot-v1", 1)
    with pytest.raises(ConfigError, match="does not fit 1 copies"):
        ClassicEnv("Pendulum-v1", 1).load_state(ClassicEnv("Pendulum-v1", 2).state())


def test_the_fast_ones_are_taken_where_there_are_any() -> None:
    assert isinstance(make_gym("Pendulum-v1", 1), ClassicEnv)
    assert isinstance(make_gym("Pendulum-v1", 1, options={"g": 9.81}), GymEnv)
    assert isinstance(make_gym("MountainCar-v0", 1), GymEnv)
