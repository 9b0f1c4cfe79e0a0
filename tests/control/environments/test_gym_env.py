"""Real Gymnasium environments as copies with a fixed horizon: starts, ends, spaces, replay."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("gymnasium", reason="needs the extra 'control'")

import gymnasium
from gymnasium.spaces import Box, Dict
from gymnasium.spaces import Discrete as Numbers

from preflab.control.environments.env import Continuous, Discrete, VectorEnv
from preflab.control.environments.gym_env import Ends, EpisodeConfig, GymEnv, episode_seed
from preflab.errors import ConfigError, ContractError, DataError, RunError


def acting(env: VectorEnv, steps: int, seed: int = 0) -> list[Any]:
    """Random actions; what came of them."""
    rng, kind = np.random.default_rng(seed), env.spec.actions
    found = []
    for _ in range(steps):
        if isinstance(kind, Discrete):
            found.append(env.step(rng.integers(0, kind.n, env.n)))
        else:
            found.append(env.step(rng.uniform(-1, 1, (env.n, kind.size))))
    return found


class Line(gymnasium.Env):  # type: ignore[misc]
    """Walks along a line; what it does at its ends is up to the test."""

    def __init__(self, **quirks: Any) -> None:
        self.quirks = quirks
        self.observation_space = quirks.get("see", Box(-np.inf, np.inf, (2, 1), np.float64))
        self.action_space = quirks.get("act", Box(-1.0, 1.0, (1,), np.float32))
        self.taken: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        rng = np.random.default_rng() if self.quirks.get("free") else self.np_random
        self.start, self.at = float(rng.normal()), 0
        return self._see(), {}

    def _see(self) -> Any:
        return np.array([[self.start], [float(self.at)]])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.taken.append(action)
        self.at += 1
        over = self.at == self.quirks.get("over")
        cut = self.at == self.quirks.get("cut")
        return self._see(), self.quirks.get("reward", 1.0), over, cut, {}


def line(**quirks: Any) -> Callable[[], Line]:
    return lambda: Line(**quirks)


def test_copies_see_what_gymnasium_shows_for_their_seeds_and_episodes_end_at_the_horizon_alone() -> None:
    env = GymEnv("MountainCarContinuous-v0", 2, seed=5, episodes=EpisodeConfig(horizon=7))
    own = [gymnasium.make("MountainCarContinuous-v0") for _ in range(2)]
    shown = [e.reset(seed=episode_seed(5, i, 0))[0] for i, e in enumerate(own)]
    np.testing.assert_array_equal(env.observations, np.stack(shown))
    for t, step in enumerate(acting(env, 14)):
        assert step.dones.tolist() == [t % 7 == 6] * 2
        assert not step.terminations.any()
        if t % 7 == 6:
            shown = [e.reset(seed=episode_seed(5, i, t // 7 + 1))[0] for i, e in enumerate(own)]
            np.testing.assert_array_equal(step.observations, np.stack(shown))
            assert not np.array_equal(step.final_observations, step.observations)
        else:
            np.testing.assert_array_equal(step.final_observations, step.observations)


@pytest.mark.parametrize("task", ["Pendulum-v1", "Acrobot-v1", "MountainCar-v0"])
def test_one_that_is_given_anothers_state_in_the_middle_of_an_episode_goes_on_as_it(task: str) -> None:
    first, second = (GymEnv(task, 3, seed=1, episodes=EpisodeConfig(horizon=40)) for _ in range(2))
    acting(first, 65)  # 25 steps into the second episode
    acting(second, 3, seed=8)
    second.load_state(first.state())
    np.testing.assert_array_equal(first.observations, second.observations)
    for a, b in zip(acting(first, 30, 2), acting(second, 30, 2), strict=True):
        for name in ("observations", "true_reward", "dones", "final_observations"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_copy_goes_on_as_another_after_hidden_ends_too() -> None:
    first, second = (GymEnv("CartPole-v1", 2, episodes=EpisodeConfig(horizon=60, ends="hide")) for _ in range(2))
    acting(first, 50)
    assert first.early_ends > 0
    second.load_state(first.state())
    assert second.early_ends == first.early_ends
    for a, b in zip(acting(first, 30, 2), acting(second, 30, 2), strict=True):
        np.testing.assert_array_equal(a.observations, b.observations)


def test_an_early_end_is_refused_with_the_reason() -> None:
    with pytest.raises(
        ConfigError, match=r"CartPole-v1, copy \d, episode 0, step \d+ of 500.*terminated.*what is good"
    ):
        acting(GymEnv("CartPole-v1", 4), 200)


def test_a_hidden_end_starts_the_copy_afresh_and_the_episode_goes_on() -> None:
    env = GymEnv(line(over=3), 1, episodes=EpisodeConfig(horizon=5, ends="hide", clip_steps=2))
    steps = acting(env, 10)
    assert [int(s.observations[0, 1]) for s in steps] == [1, 2, 0, 1, 0, 1, 2, 0, 1, 0]  # step 3 of each 5 is hidden
    assert [int(s.final_observations[0, 1]) for s in steps] == [1, 2, 0, 1, 2, 1, 2, 0, 1, 2]
    assert [bool(s.dones[0]) for s in steps] == [False] * 4 + [True] + [False] * 4 + [True]
    assert not any(s.terminations.any() for s in steps)
    assert env.early_ends == 2


def test_a_shown_end_ends_the_episode_and_says_whose_end_it_is() -> None:
    env = GymEnv(line(over=3), 1, episodes=EpisodeConfig(horizon=5, ends="show"))
    steps = acting(env, 6)
    assert [bool(s.dones[0]) for s in steps] == [False, False, True] * 2
    assert [bool(s.terminations[0]) for s in steps] == [False, False, True] * 2
    assert [int(s.final_observations[0, 1]) for s in steps] == [1, 2, 3, 1, 2, 3]
    assert env.early_ends == 2
    cut = acting(GymEnv(line(cut=3), 1, episodes=EpisodeConfig(horizon=5, ends="show")), 3)[-1]
    assert cut.dones.tolist() == [True]
    assert cut.terminations.tolist() == [False]


def test_an_end_at_the_horizon_is_no_early_one() -> None:
    env = GymEnv(line(over=5), 1, episodes=EpisodeConfig(horizon=5))
    assert [bool(s.dones[0]) for s in acting(env, 5)] == [False] * 4 + [True]
    assert env.early_ends == 0


def test_a_time_limit_of_a_factorys_own_gives_the_horizon_and_no_end() -> None:
    env = GymEnv(lambda: gymnasium.make("Pendulum-v1", max_episode_steps=9, disable_env_checker=True), 1)
    assert (env.spec.horizon, env.spec.name) == (9, "Pendulum-v1")
    longer = GymEnv(lambda: gymnasium.make("Pendulum-v1", max_episode_steps=9), 1, episodes=EpisodeConfig(horizon=20))
    assert [s.dones.item() for s in acting(longer, 20)] == [False] * 19 + [True]


def test_a_time_limit_within_a_wrapper_is_taken_out_too() -> None:
    def wrapped() -> Any:
        made = gymnasium.make("Pendulum-v1", max_episode_steps=9)
        return gymnasium.wrappers.RescaleAction(made, np.float32(-1), np.float32(1))

    assert GymEnv(wrapped, 1).spec.horizon == 9
    assert [s.dones.item() for s in acting(GymEnv(wrapped, 1, episodes=EpisodeConfig(horizon=20)), 20)] == [
        False
    ] * 19 + [True]


def test_an_inner_time_limit_that_comes_first_is_refused() -> None:
    with pytest.raises(ConfigError, match="cut off by a time limit of its own"):
        acting(GymEnv(line(cut=3), 1, episodes=EpisodeConfig(horizon=5)), 4)


def test_observations_are_flat_and_float32_and_what_was_handed_out_does_not_change() -> None:
    env = GymEnv(line(), 2, episodes=EpisodeConfig(horizon=5))
    assert env.observations.dtype == np.float32
    assert env.spec.obs_shape == (2,)
    kept = env.observations
    before = kept.copy()
    acting(env, 7)
    np.testing.assert_array_equal(kept, before)


def test_bounds_of_each_part_are_kept_and_unequal_ones_are_scaled() -> None:
    made: list[Line] = []

    def make(**quirks: Any) -> Callable[[], Line]:
        return lambda: made.append(Line(**quirks)) or made[-1]

    unequal = Box(np.array([0.0, -4.0]), np.array([1.0, 4.0]), dtype=np.float64)
    env = GymEnv(make(act=unequal), 1, episodes=EpisodeConfig(horizon=5))
    assert env.spec.actions == Continuous(2, -1.0, 1.0)
    env.step(np.array([[0.0, 0.5]]))  # the middle of 0 to 1; three quarters of the way from -4 to 4
    env.step(np.array([[-3.0, 3.0]]))
    np.testing.assert_allclose(made[-1].taken, [[0.5, 2.0], [0.0, 4.0]])
    env = GymEnv(make(act=Box(-2.0, 2.0, (1, 3), np.float32)), 1, episodes=EpisodeConfig(horizon=5))
    assert env.spec.actions == Continuous(3, -2.0, 2.0)
    env.step(np.array([[-9.0, 1.0, 9.0]]))
    np.testing.assert_allclose(made[-1].taken, [[[-2.0, 1.0, 2.0]]])
    env = GymEnv(make(act=Numbers(3, start=5)), 1, episodes=EpisodeConfig(horizon=5))
    assert env.spec.actions == Discrete(3)
    env.step(np.array([2]))
    assert made[-1].taken == [7]


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        ("Nowhere-v7", {}, "'Nowhere-v7' cannot be made"),
        (line(), {}, "Line has no time limit"),
        (line(see=Dict({"a": Box(0, 1)})), {"horizon": 5}, "observations must be Box"),
        (line(act=Dict({"a": Box(0, 1)})), {"horizon": 5}, "actions must be Box or Discrete"),
        (lambda: 3, {"horizon": 5}, "returned an instance of int"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(make: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GymEnv(make, 1, episodes=EpisodeConfig(**settings))


def test_a_reward_that_is_not_finite_is_an_error_with_its_place() -> None:
    with pytest.raises(DataError, match="Line, copy 0, episode 0, step 1 of 5: the environment's reward nan"):
        acting(GymEnv(line(reward=float("nan")), 1, episodes=EpisodeConfig(horizon=5)), 1)


def test_an_instance_in_place_of_a_function_is_named_with_what_to_write() -> None:
    """In a process of its own: here every call is checked against its signature first."""
    program = (
        "import gymnasium\n"
        "from preflab.control.environments.gym_env import EpisodeConfig, GymEnv\n"
        "GymEnv(gymnasium.make('Pendulum-v1'), 2, episodes=EpisodeConfig(horizon=5))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "found an instance of" in ended.stderr.splitlines()[-1]
    assert "Every copy needs an environment of its own: pass the class, or lambda:" in ended.stderr.splitlines()[-1]


def test_one_environment_behind_several_copies_is_refused_whatever_is_around_it() -> None:
    shared = Line()
    for make in (lambda: shared, lambda: gymnasium.wrappers.OrderEnforcing(shared)):
        with pytest.raises(ConfigError, match=r"Line: copy 1 is the same environment as copy 0\. .* lambda: Line\("):
            GymEnv(make, 3, episodes=EpisodeConfig(horizon=5))
    GymEnv(lambda: shared, 1, episodes=EpisodeConfig(horizon=5))  # one copy shares with nobody
    GymEnv(Line, 3, episodes=EpisodeConfig(horizon=5))  # a class makes a new one each time


@pytest.mark.parametrize(
    ("quirks", "message"),
    [
        ({"reward": np.array([1.0, 2.0])}, r"expected a reward that is one number, found ndarray of shape \(2,\)"),
        ({"reward": "much"}, "expected a reward that is one number, found str"),
        ({"reward": None}, "expected a reward that is one number, found NoneType"),
    ],
)
def test_a_reward_that_is_no_number_is_refused_with_its_place(quirks: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=f"Line, copy 0, episode 0, step 0 of 5: {message}"):
        acting(GymEnv(line(**quirks), 1, episodes=EpisodeConfig(horizon=5)), 1)


def test_a_reward_of_one_entry_is_that_number() -> None:
    env = GymEnv(line(reward=np.array([2.5])), 1, episodes=EpisodeConfig(horizon=5))
    assert env.step(np.zeros((1, 1), dtype=np.float32)).true_reward.tolist() == [2.5]


def test_an_observation_of_another_size_than_its_space_is_not_spread_over_it() -> None:
    class Short(Line):
        def _see(self) -> Any:
            return np.array([1.0])

    with pytest.raises(ContractError, match=r"expected an observation of shape \(2, 1\), found float64"):
        GymEnv(Short, 1, episodes=EpisodeConfig(horizon=5))


def test_an_environment_of_the_older_gym_is_named_with_the_wrapper_to_use() -> None:
    class Older(Line):
        def step(self, action: Any) -> Any:
            return super().step(action)[:4]

    with pytest.raises(ContractError, match=r"expected step\(\) to return .*GymV21Compatibility"):
        acting(GymEnv(Older, 1, episodes=EpisodeConfig(horizon=5)), 1)


def test_an_environment_with_chance_beside_its_seed_is_not_taken_up_in_silence() -> None:
    first, second = (GymEnv(line(free=True), 1, episodes=EpisodeConfig(horizon=5)) for _ in range(2))
    acting(first, 2)
    with pytest.raises(RunError, match="All chance in an environment must come from reset"):
        second.load_state(first.state())


def test_a_state_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not fit 1 copies of Line"):
        GymEnv(line(), 1, episodes=EpisodeConfig(horizon=5)).load_state(
            GymEnv(line(), 2, episodes=EpisodeConfig(horizon=5)).state()
        )


@pytest.mark.parametrize("ends", ["hide", "show"])
def test_a_state_survives_the_disk(ends: Ends, tmp_path: Any) -> None:
    from preflab.checkpoint import load_tensors, save_tensors

    env = GymEnv("CartPole-v1", 2, episodes=EpisodeConfig(horizon=30, ends=ends))
    acting(env, 40)
    loaded = load_tensors(save_tensors(env.state(), tmp_path / "env"))
    other = GymEnv("CartPole-v1", 2, episodes=EpisodeConfig(horizon=30, ends=ends))
    other.load_state(loaded)
    np.testing.assert_array_equal(other.observations, env.observations)
    assert torch.equal(other.state()["at"], env.state()["at"])
