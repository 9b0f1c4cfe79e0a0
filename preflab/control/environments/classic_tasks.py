"""Pendulum-v1 and CartPole-v1 with all copies stepped at once: number for number what Gymnasium's own do.

Ten to twenty times as fast as `GymEnv`, which gives the same episodes for the same seed. Gymnasium's vector version of
CartPole computes in float32 and starts episodes by a stream of its own, so that it cannot stand in here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Shaped
from torch import Tensor

from preflab.control.environments.env import Actions, Continuous, Discrete, Step
from preflab.control.environments.gym_env import DEFAULT_EPISODES, LEAK, EpisodeConfig, GymEnv, episode_seed, gym_spec
from preflab.errors import ConfigError, DataError

Transition = tuple[Float64[np.ndarray, "env state"], Float64[np.ndarray, " env"], Bool[np.ndarray, " env"]]
"""The next states, the rewards, and which copies are at an end of the task's own."""


@dataclass(frozen=True)
class Classic:
    """A task as functions of states, one row a copy."""

    actions: Actions
    limit: int
    """Steps after which Gymnasium's own ends."""
    fps: float
    spread: tuple[float, ...]
    """Episodes start uniformly within so much of 0 in each part of the state."""
    move: Callable[[np.ndarray, np.ndarray], Transition]
    observe: Callable[[np.ndarray], np.ndarray]


def _step_pendulum(state: np.ndarray, actions: np.ndarray) -> Transition:
    """Gymnasium's pendulum: g 10, mass 1, length 1, steps of 0.05 s."""
    angle, speed = state[:, 0], state[:, 1]
    torque = np.clip(actions.reshape(-1).astype(np.float32), -2.0, 2.0)
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    cost = wrapped**2 + 0.1 * speed**2 + 0.001 * torque**2
    speed = np.clip(speed + (15.0 * np.sin(angle) + 3.0 * torque) * 0.05, -8.0, 8.0)
    after = np.empty_like(state)
    after[:, 0], after[:, 1] = angle + speed * 0.05, speed
    return after, -cost, np.zeros(len(state), dtype=bool)


def _observe_pendulum(state: np.ndarray) -> np.ndarray:
    observations = np.empty((len(state), 3), dtype=np.float32)
    observations[:, 0], observations[:, 1], observations[:, 2] = np.cos(state[:, 0]), np.sin(state[:, 0]), state[:, 1]
    return observations


_MASS, _POLE, _LENGTH = 0.1 + 1.0, 0.1 * 0.5, 0.5
_TILT = 12 * 2 * np.pi / 360


def _step_cart_pole(state: np.ndarray, actions: np.ndarray) -> Transition:
    """Gymnasium's cart and pole: equations of Florian (2007), Euler steps of 0.02 s."""
    x, speed, angle, turn = state.T
    force = np.where(actions.reshape(-1) == 1, 10.0, -10.0)
    cos, sin = np.cos(angle), np.sin(angle)
    push = (force + _POLE * np.square(turn) * sin) / _MASS
    spin = (9.8 * sin - cos * push) / (_LENGTH * (4.0 / 3.0 - 0.1 * np.square(cos) / _MASS))
    pull = push - _POLE * spin * cos / _MASS
    after = np.stack([x + 0.02 * speed, speed + 0.02 * pull, angle + 0.02 * turn, turn + 0.02 * spin], axis=1)
    over = (np.abs(after[:, 0]) > 2.4) | (np.abs(after[:, 2]) > _TILT)
    return after, np.ones(len(state)), over


CLASSIC: dict[str, Classic] = {
    "Pendulum-v1": Classic(Continuous(1, -2.0, 2.0), 200, 30.0, (np.pi, 1.0), _step_pendulum, _observe_pendulum),
    "CartPole-v1": Classic(Discrete(2), 500, 50.0, (0.05,) * 4, _step_cart_pole, lambda state: state),
}


class ClassicEnv:
    """Copies of a task of `CLASSIC`.

    Args:
        task               a name in `CLASSIC`.
        n, seed, episodes  as for `GymEnv`.

    Raises:
        ConfigError: no such task, or a setting makes no sense.
    """

    def __init__(self, task: str, n: int, *, seed: int = 0, episodes: EpisodeConfig = DEFAULT_EPISODES) -> None:
        if task not in CLASSIC:
            raise ConfigError(f"expected one of {', '.join(CLASSIC)}, got {task!r}")
        if n < 1:
            raise ConfigError(f"expected at least one copy, got {n}")
        self.task, self.n, self.seed, self.ends = CLASSIC[task], n, seed, episodes.ends
        width = len(self.task.observe(np.zeros((1, len(self.task.spread))))[0])
        self.spec = gym_spec(task, (width,), self.task.actions, episodes, limit=self.task.limit, fps=self.task.fps)
        self.early_ends = 0
        """Ends before the horizon so far, of all copies."""
        self._counts = np.zeros((3, n), dtype=np.int64)
        """Of each copy its episode's number, the steps in it, and how often it was started afresh within it."""
        self._state = np.zeros((n, len(self.task.spread)))
        for i in range(n):
            self._reset(i)
        self.observations = self._observations()

    def _reset(self, i: int) -> None:
        episode, _, restart = self._counts[:, i].tolist()
        high = np.array(self.task.spread)
        self._state[i] = np.random.default_rng(episode_seed(self.seed, i, episode, restart)).uniform(-high, high)

    def _observations(self) -> np.ndarray:
        return self.task.observe(self._state).astype(np.float32)

    def step(self, actions: Shaped[np.ndarray, "env ..."]) -> Step:
        """Act in every copy.

        Raises:
            ConfigError: an episode ended early and that is refused.
            DataError: an action is not finite.
        """
        self._state, reward, over = self.task.move(self._state, actions)
        if not np.isfinite(self._state).all():
            raise DataError(f"{self.spec.name}: the state is not finite; were the actions? got {actions}")
        self._counts[1] += 1
        dones = self._counts[1] >= self.spec.horizon
        early = over & ~dones
        final = self._observations()
        if early.any():
            self._end_early(early)
            if self.ends == "hide":
                final = self._observations()
            else:
                dones |= early
        for i in np.flatnonzero(dones).tolist():
            self._counts[:, i] = self._counts[0, i] + 1, 0, 0
            self._reset(i)
        self.observations = self._observations() if dones.any() else final
        return Step(self.observations, reward, dones, final, over & (self.ends == "show"))

    def _end_early(self, early: Bool[np.ndarray, " env"]) -> None:
        if self.ends == "refuse":
            i = int(np.flatnonzero(early)[0])
            episode, at, _ = self._counts[:, i].tolist()
            location = f"{self.spec.name}, copy {i}, episode {episode}, step {at} of {self.spec.horizon}"
            raise ConfigError(f"{location}: the episode terminated before its horizon; {LEAK}")
        self.early_ends += int(early.sum())
        if self.ends == "hide":
            for i in np.flatnonzero(early).tolist():
                self._counts[2, i] += 1
                self._reset(i)

    def render_states(self) -> np.ndarray:
        """Positions, angles and speeds."""
        return self._state.astype(np.float32)

    def state(self) -> dict[str, Tensor]:
        """The states, and how far each copy is."""
        return {
            "state": torch.from_numpy(self._state.copy()),
            "counts": torch.from_numpy(self._counts.copy()),
            "early_ends": torch.tensor(self.early_ends),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another was.

        Raises:
            ConfigError: that one had another task or another number of copies.
        """
        states = state["state"].numpy()
        if states.shape != self._state.shape:
            raise ConfigError(f"a state of {states.shape} does not fit {self.n} copies of {self.spec.name}")
        self._state, self._counts = states.copy(), state["counts"].numpy().copy()
        self.early_ends = int(state["early_ends"])
        self.observations = self._observations()


def make_gym(
    task: str | Callable[[], Any],
    n: int,
    *,
    seed: int = 0,
    episodes: EpisodeConfig = DEFAULT_EPISODES,
    options: Mapping[str, Any] | None = None,
) -> ClassicEnv | GymEnv:
    """Copies of any Gymnasium environment, as a `ClassicEnv` where the task is one; arguments as for `GymEnv`."""
    if isinstance(task, str) and task in CLASSIC and not options:
        return ClassicEnv(task, n, seed=seed, episodes=episodes)
    return GymEnv(task, n, seed=seed, episodes=episodes, options=options)
