"""The same agent on the true reward, for comparison with learning from labels."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from preflab.checkpoint import strip_prefix, with_prefix
from preflab.control.agents.agent import Agent
from preflab.control.environments.env import VectorEnv
from preflab.control.episodes import Episodes
from preflab.control.interleaved_updates import collect_with_updates
from preflab.control.loop_config import LoopConfig
from preflab.control.running_stats import RunningMeanStd
from preflab.control.trajectory import Trajectory


class TrueRewardLoop:
    """Acts and learns for as many steps as `PreferenceLoop`, in the same rounds.

    Args:
        config     steps, rollout_steps, update_steps and window are read.
        normalise  bring the reward to mean 0 and deviation 1, as learned ones are.
        facts      of a trajectory, to be logged with the rest.
    """

    def __init__(
        self,
        config: LoopConfig,
        env: VectorEnv,
        agent: Agent,
        *,
        normalise: bool = True,
        facts: Callable[[Trajectory], dict[str, float]] | None = None,
    ) -> None:
        self.config, self.env, self.agent, self.normalise, self.facts = config, env, agent, normalise, facts
        self.scale, self.episodes, self.step = RunningMeanStd(1), Episodes(env.n, window=config.window), 0

    def run(
        self, log: Callable[..., None], checkpoint: Callable[[], object], on_wait: Callable[[int], None] | None = None
    ) -> None:
        """Go on to the end; see `PreferenceLoop.run`. Nothing is waited for."""
        del on_wait
        c = self.config
        while self.step < c.steps:
            trajectory, collected = collect_with_updates(
                self.env, self.agent, self._rewards, c.rollout_steps, c.update_steps or c.rollout_steps
            )
            self.step += trajectory.steps
            facts = self.facts(trajectory) if self.facts else {}
            returns = self.episodes.add(trajectory, collected.rewards)
            log(step=self.step, **collected.metrics, **returns, **facts)
            checkpoint()

    def _rewards(self, trajectory: Trajectory) -> Float[np.ndarray, "time env"]:
        if not self.normalise:
            return trajectory.true_reward
        self.scale.add(trajectory.true_reward.reshape(-1, 1))
        return np.asarray((trajectory.true_reward - self.scale.mean[0]) / (self.scale.std[0] + 1e-8))

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on."""
        return {
            **with_prefix("agent.", self.agent.state()),
            **with_prefix("env.", self.env.state()),
            **with_prefix("episodes.", self.episodes.state()),
            "scale": self.scale.state(),
            "step": torch.tensor(self.step),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stopped."""
        self.agent.load_state(strip_prefix(state, "agent."))
        self.env.load_state(strip_prefix(state, "env."))
        self.episodes.load_state(strip_prefix(state, "episodes."))
        self.scale.load_state(state["scale"])
        self.step = int(state["step"])
