"""A stretch of behaviour: so many steps of every copy of an environment, as one agent acted in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped

from preflab.control.environments.env import Actions, Continuous, VectorEnv

_WHOLE = ("observations", "actions", "true_reward", "ended", "finals")
"""What stretches that follow each other are joined by."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What was seen, done and, unknown to the agent, earned."""

    observations: Shaped[np.ndarray, "time env ..."]
    """[time env ...], before each step."""
    actions: Shaped[np.ndarray, "time env ..."]
    """[time env size] as drawn, beyond the bounds too, or [time env] whole numbers."""
    true_reward: Float64[np.ndarray, "time env"]
    """For the oracle and for reports alone."""
    ended: Bool[np.ndarray, "time env"]
    """An episode ended with this step."""
    finals: Shaped[np.ndarray, "end ..."]
    """[end ...], what was seen after each such step, in the order of ``ended.nonzero()``."""
    last: Shaped[np.ndarray, "env ..."]
    """[env ...], what is seen after the last step."""
    states: Float[np.ndarray, "time env state"] | None
    """What the steps can be drawn from."""
    terminated: Bool[np.ndarray, "time env"] | None = None
    """Steps behind which nothing is worth anything; see `preflab.control.environments.env.Step`."""

    @property
    def steps(self) -> int:
        """Environment steps, over all copies."""
        return int(self.true_reward.size)

    def tail(self, steps: int) -> "Trajectory":
        """The last so many steps of every copy."""
        ends = int(self.ended[-steps:].sum())
        return Trajectory(
            observations=self.observations[-steps:],
            actions=self.actions[-steps:],
            true_reward=self.true_reward[-steps:],
            ended=self.ended[-steps:],
            finals=self.finals[len(self.finals) - ends :],
            last=self.last,
            states=None if self.states is None else self.states[-steps:],
            terminated=None if self.terminated is None else self.terminated[-steps:],
        )

    def rewarded_actions(self, actions: Actions) -> Float[np.ndarray, "time env act"]:
        """Actions as a reward predictor sees them: within the bounds, or one-hot."""
        if isinstance(actions, Continuous):
            return np.asarray(np.clip(self.actions, actions.low, actions.high), dtype=np.float32)
        return np.asarray(np.eye(actions.n, dtype=np.float32)[self.actions])

    def worth_after(self, value_of: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
        """Value of what is seen after each step, before any reset; 0 where the task itself came to an end.

        Args:
            value_of  values of observations [item ...] -> [item].
            values    [time env], of what is seen before each step.

        Returns:
            after     [time env]
        """
        after = np.concatenate([values[1:], value_of(self.last)[None]])
        if len(self.finals):
            after[self.ended] = value_of(self.finals)
        return after if self.terminated is None else np.where(self.terminated, np.zeros_like(after), after)


def rollout(
    env: VectorEnv, act: Callable[[np.ndarray], np.ndarray], steps: int, *, keep_states: bool = False
) -> Trajectory:
    """Act for ``steps`` steps of every copy.

    Args:
        act          observations [env ...] -> actions.
        keep_states  keep what the steps can be drawn from.
    """
    seen, done, earned, ends, finals, states, falls = [], [], [], [], [], [], []
    for _ in range(steps):
        if keep_states:
            states.append(env.drawn_from())
        seen.append(env.observations)
        done.append(act(env.observations))
        told = env.step(done[-1])
        earned.append(told.true_reward)
        ends.append(told.ended)
        falls.append(told.terminated)
        if told.ended.any():
            finals.append(told.final[told.ended])
    drawn, fallen = ([own for own in every if own is not None] for every in (states, falls))
    return Trajectory(
        observations=np.stack(seen),
        actions=np.stack(done),
        true_reward=np.stack(earned),
        ended=np.stack(ends),
        finals=np.concatenate(finals) if finals else env.observations[:0],
        last=env.observations,
        states=np.stack(drawn) if drawn else None,
        terminated=np.stack(fallen) if fallen else None,
    )


def concatenate(parts: Sequence[Trajectory]) -> Trajectory:
    """Stretches that followed each other as one."""
    whole: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _WHOLE}
    for name in ("states", "terminated"):
        told = [own for part in parts if (own := getattr(part, name)) is not None]
        whole[name] = np.concatenate(told) if told else None
    return Trajectory(**whole, last=parts[-1].last)
