"""The loop: act, learn a reward from comparisons of clips, improve the policy on it.

Christiano et al. 2017, sec. 2.2. Their three processes take turns in one. Everything that is drawn is keyed by seed and
number, and a checkpoint holds all the rest but the clips of labels, which are in the archive: a run that was killed
goes on as if it had not been.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from preflab.checkpoint import strip_prefix, with_prefix
from preflab.control.agents.agent import Agent
from preflab.control.environments.env import VectorEnv
from preflab.control.episodes import Episodes
from preflab.control.interleaved_updates import CollectedRewards, collect_with_updates
from preflab.control.reward_learner import RewardLearner
from preflab.control.trajectory import Trajectory, rollout


class PreferenceLoop:
    """Environment, agent and reward learner, a round of each at a time.

    Args:
        learner  of the reward; its config is the loop's.
        facts    of a trajectory, to be logged with the rest.
    """

    def __init__(
        self,
        env: VectorEnv,
        agent: Agent,
        learner: RewardLearner,
        *,
        facts: Callable[[Trajectory], dict[str, float]] | None = None,
    ) -> None:
        self.config, self.env, self.agent, self.learner, self.facts = learner.config, env, agent, learner, facts
        self.episodes = Episodes(env.n, window=self.config.window)

    @property
    def step(self) -> int:
        """Environment steps so far, over all copies."""
        return self.learner.step

    @property
    def rounds(self) -> int:
        """Rounds so far."""
        return self.learner.rounds

    def run(
        self,
        log: Callable[..., None],
        checkpoint: Callable[[], object],
        on_wait: Callable[[int], None] = lambda missing: None,
    ) -> None:
        """Go on to the end.

        Args:
            log         is given each round's metrics by name.
            checkpoint  is called wherever `state` may be saved.
            on_wait     is given, again and again while the loop waits, how many answers are missing.

        Raises:
            TrainingStopped: no answer says which clip is better, or a loss is not finite.
        """
        while self.step < self.config.steps:
            trajectory, collected = self._act()
            reward_metrics = self.learner.learn(trajectory, on_wait)
            if collected is None:
                collected = self._improve(trajectory)
            returns = self.episodes.add(trajectory, collected.rewards)
            facts = self.facts(trajectory) if self.facts else {}
            log(step=self.step, **reward_metrics, **collected.metrics, **returns, **facts)
            checkpoint()

    def _act(self) -> tuple[Trajectory, CollectedRewards | None]:
        """A round of behaviour, and the rewards for it where the policy learned meanwhile."""
        c = self.config
        update_steps = c.update_steps or c.rollout_steps
        if self.rounds and update_steps < c.rollout_steps:
            rewards_of = self.learner.rewards
            return collect_with_updates(
                self.env, self.agent, rewards_of, c.rollout_steps, update_steps, keep_states=True
            )
        steps = c.rollout_steps if self.rounds else c.pretrain_steps // self.env.n
        return rollout(self.env, self.agent.act, steps, keep_states=True), None

    def _improve(self, trajectory: Trajectory) -> CollectedRewards:
        """Update the policy on a round, or on its last ``update_steps``."""
        steps = self.config.update_steps or len(trajectory.true_reward)
        rewards = self.learner.rewards(trajectory)
        return CollectedRewards(rewards, self.agent.update(trajectory.tail(steps), rewards[-steps:]))

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on, but for the clips of labels, which are in the archive."""
        return {
            **with_prefix("agent.", self.agent.state()),
            **with_prefix("env.", self.env.state()),
            **with_prefix("episodes.", self.episodes.state()),
            **with_prefix("learner.", self.learner.state()),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on where another stopped."""
        self.agent.load_state(strip_prefix(state, "agent."))
        self.env.load_state(strip_prefix(state, "env."))
        self.episodes.load_state(strip_prefix(state, "episodes."))
        self.learner.load_state(strip_prefix(state, "learner."))
