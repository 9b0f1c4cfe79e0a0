"""A stretch of behaviour in which the policy is improved on the way, as A2C wants it: every few steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from preflab.control.agents.agent import Agent
from preflab.control.environments.env import VectorEnv
from preflab.control.trajectory import Trajectory, concatenate, rollout


@dataclass(frozen=True, eq=False)
class CollectedRewards:
    """What an agent was handed for a stretch, and what its updates told."""

    rewards: Float[np.ndarray, "time env"]
    told: dict[str, float]


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
        rewards_of   what the agent is handed for a stretch.
        steps        a multiple of ``update_steps``.
        keep_states  keep what the steps can be drawn from.

    Returns:
        the whole stretch; its rewards, and the updates' numbers, each its mean over the updates.
    """
    parts, rewards, told = [], [], []
    for _ in range(steps // update_steps):
        part = rollout(env, agent.act, update_steps, keep_states=keep_states)
        own = rewards_of(part)
        told.append(agent.update(part, own))
        parts.append(part)
        rewards.append(own)
    means = {name: float(np.mean([own[name] for own in told])) for name in told[-1]}
    return concatenate(parts), CollectedRewards(np.concatenate(rewards), means)
