"""A trajectory: so many steps of every copy of an environment, as one agent acted in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped

from preflab.control.environments.env import Actions, Continuous, VectorEnv, checked_step

_JOINED = ("observations", "actions", "true_reward", "dones", "final_observations")
"""Fields that trajectories which follow each other are joined by."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What the agent saw and did, and the reward of the environment, which it never sees."""

    observations: Shaped[np.ndarray, "time env ..."]
    """[time env ...], before each step."""
    actions: Shaped[np.ndarray, "time env ..."]
    """[time env size] as drawn, beyond the bounds too, or [time env] whole numbers."""
    true_reward: Float64[np.ndarray, "time env"]
    """For the oracle and for reports alone."""
    dones: Bool[np.ndarray, "time env"]
    """An episode ended with this step."""
    final_observations: Shaped[np.ndarray, "end ..."]
    """[end ...], the observation after each such step, before the reset, in the order of ``dones.nonzero()``."""
    next_observations: Shaped[np.ndarray, "env ..."]
    """[env ...], after the last step, resets included."""
    states: Float[np.ndarray, "time env state"] | None
    """What the steps can be drawn from."""
    terminations: Bool[np.ndarray, "time env"] | None = None
    """Steps after which the value is 0; see `preflab.control.environments.env.Step`."""

    @property
    def steps(self) -> int:
        """Environment steps, over all copies."""
        return int(self.true_reward.size)

    def tail(self, steps: int) -> "Trajectory":
        """The last so many steps of every copy."""
        ends = int(self.dones[-steps:].sum())
        return Trajectory(
            observations=self.observations[-steps:],
            actions=self.actions[-steps:],
            true_reward=self.true_reward[-steps:],
            dones=self.dones[-steps:],
            final_observations=self.final_observations[len(self.final_observations) - ends :],
            next_observations=self.next_observations,
            states=None if self.states is None else self.states[-steps:],
            terminations=None if self.terminations is None else self.terminations[-steps:],
        )

    def reward_model_actions(self, actions: Actions) -> Float[np.ndarray, "time env act"]:
        """Actions as a reward network reads them: clipped to the bounds, or one-hot."""
        if isinstance(actions, Continuous):
            return np.asarray(np.clip(self.actions, actions.low, actions.high), dtype=np.float32)
        return np.asarray(np.eye(actions.n, dtype=np.float32)[self.actions])

    def bootstrap_values(self, value_of: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
        """Value of the observation after each step, before any reset; 0 where the task itself came to an end.

        Args:
            value_of  values of observations [item ...] -> [item].
            values    [time, env], of the observation before each step.

        Returns:
            next_values  [time, env]
        """
        next_values = np.concatenate([values[1:], value_of(self.next_observations)[None]])
        if len(self.final_observations):
            next_values[self.dones] = value_of(self.final_observations)
        if self.terminations is None:
            return next_values
        return np.where(self.terminations, np.zeros_like(next_values), next_values)


def rollout(
    env: VectorEnv, act: Callable[[np.ndarray], np.ndarray], steps: int, *, keep_states: bool = False
) -> Trajectory:
    """Act for ``steps`` steps of every copy.

    Args:
        act          observations [env ...] -> actions.
        keep_states  keep what the steps can be drawn from.
    """
    observations, actions, rewards, dones = [], [], [], []
    final_observations, states, terminations = [], [], []
    for _ in range(steps):
        if keep_states and (state := env.render_states()) is not None:
            states.append(state)
        observations.append(env.observations)
        actions.append(act(env.observations))
        step = checked_step(env, actions[-1])
        rewards.append(step.true_reward)
        dones.append(step.dones)
        if step.terminations is not None:
            terminations.append(step.terminations)
        if step.dones.any():
            final_observations.append(step.final_observations[step.dones])
    return Trajectory(
        observations=np.stack(observations),
        actions=np.stack(actions),
        true_reward=np.stack(rewards),
        dones=np.stack(dones),
        final_observations=np.concatenate(final_observations) if final_observations else env.observations[:0],
        next_observations=env.observations,
        states=np.stack(states) if states else None,
        terminations=np.stack(terminations) if terminations else None,
    )


def concatenate(parts: Sequence[Trajectory]) -> Trajectory:
    """Trajectories that followed each other as one."""
    fields: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _JOINED}
    for name in ("states", "terminations"):
        arrays = [array for part in parts if (array := getattr(part, name)) is not None]
        fields[name] = np.concatenate(arrays) if arrays else None
    return Trajectory(**fields, next_observations=parts[-1].next_observations)
