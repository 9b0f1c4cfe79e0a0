"""A trajectory during which the policy is updated every few steps, as A2C wants it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from preflab.control.agents.agent import Agent
from preflab.control.environments.env import VectorEnv
from preflab.control.trajectory import Trajectory, concatenate, rollout


@dataclass(frozen=True, eq=False)
class CollectedRewards:
    """The rewards that an agent was given for a trajectory, and what its updates logged."""

    rewards: Float[np.ndarray, "time env"]
    metrics: dict[str, float]


def collect_with_updates(
    env: VectorEnv,
    agent: Agent,
    rewards_of: Callable[[Trajectory], Float[np.ndarray, "time env"]],
    steps: int,
    update_steps: int,
    *,
    keep_states: bool = False,
) -> tuple[Trajectory, CollectedRewards]:
    """Act for ``steps`` steps of every copy and learn from each ``update_steps`` of them at once.

    Args:
        rewards_of   the rewards that the agent is given for a trajectory.
        steps        a multiple of ``update_steps``.
        keep_states  keep what the steps can be drawn from.

    Returns:
        the trajectory of all steps; its rewards, and the metrics of the updates, each its mean over them.
    """
    parts, rewards, metrics = [], [], []
    for _ in range(steps // update_steps):
        part = rollout(env, agent.act, update_steps, keep_states=keep_states)
        rewards.append(rewards_of(part))
        metrics.append(agent.update(part, rewards[-1]))
        parts.append(part)
    means = {name: float(np.mean([update[name] for update in metrics])) for name in metrics[-1]}
    return concatenate(parts), CollectedRewards(np.concatenate(rewards), means)
