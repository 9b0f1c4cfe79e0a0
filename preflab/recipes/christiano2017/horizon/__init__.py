"""A constant reward balances a pole, if falling ends the episode: why horizons must be fixed.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, appendix A,
          which takes early ends out of every task because they tell the agent what is good.
Claims    Ours, after theirs: with episodes that end when the pole falls, an agent that is paid the same for every step,
          with no label and nothing learned, scores high. With episodes of one length it learns nothing from that.
          Paid minus the same for every step, it learns to fall: the sign, a mere convention, decides.
Measures  steps until the pole falls, of the horizon at most; every agent in fresh episodes that end with the fall. Mean
          over seeds with a 95 % interval (Student's t); differences are paired by seed.
Needs     gymnasium. Two and a half minutes of one core.
Differs   PPO in place of TRPO, without the entropy bonus of 0.01; CartPole-v1, on which the paper does not report. In
          the fixed version a fallen pole is set up again without telling the agent.
Result    docs/papers.md#christiano2017_horizon
"""

from collections.abc import Callable

import numpy as np
import torch

from preflab.control.agents.ppo import PPO
from preflab.control.environments.classic_tasks import ClassicEnv
from preflab.control.environments.gym_env import EpisodeConfig
from preflab.control.trajectory import rollout
from preflab.recipes.christiano2017.horizon.claims import compare
from preflab.recipes.christiano2017.horizon.config import ARMS, SCALES, TASK, Config, paper, small, smoke
from preflab.recipes.christiano2017.horizon.report import summarise, write_report
from preflab.recipes.christiano2017.horizon.results import AgentResult, Comparison
from preflab.run import Run

__all__ = ["SCALES", "Config", "main", "paper", "small", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Train every arm from every seed, compare, report; each is a stage, and none is done twice."""
    torch.set_num_threads(1)  # networks of 64 units: more threads wait for each other
    agents: dict[str, list[AgentResult]] = {arm: [] for arm in ARMS}
    for seed in range(config.seeds):
        for arm in ARMS:
            work = lambda arm=arm, seed=seed: _train(config, run, arm, seed)  # noqa: E731
            agents[arm].append(run.stage(f"{arm}{seed}", work, AgentResult))
    run.stage("compare", lambda: compare(agents, config.horizon), Comparison)
    write_report(run.folder)


def _train(config: Config, run: Run, arm: str, seed: int) -> AgentResult:
    """One agent under a constant reward: steps until the fall, before, between and after its updates."""
    name, (ends, reward) = f"{arm}{seed}", ARMS[arm]
    start = run.seed_of(f"agent {seed}")  # the same in every arm
    episodes = EpisodeConfig(horizon=config.horizon, ends=ends)
    env = ClassicEnv(TASK, config.copies, seed=start, episodes=episodes)
    agent = PPO(env.spec, config.ppo, seed=start)
    curve = [(0, steps_until_fall(agent.act, config, start))]
    with run.progress(name, config.updates, "updates") as advance:
        for update in range(1, config.updates + 1):
            trajectory = rollout(env, agent.act, config.steps)
            agent.update(trajectory, np.full(trajectory.true_reward.shape, reward))
            if update % config.measure_every == 0 or update == config.updates:
                step, balanced = update * trajectory.steps, steps_until_fall(agent.act, config, start)
                curve.append((step, balanced))
                run.log(name, step=step, balanced=balanced)
            advance(1)
    untrained, trained = curve[0][1], curve[-1][1]
    return AgentResult(arm=arm, curve=tuple(curve), untrained=untrained, trained=trained, falls=env.early_ends)


def steps_until_fall(act: Callable[[np.ndarray], np.ndarray], config: Config, seed: int) -> float:
    """Mean over fresh episodes, each from the same starts for every agent of a seed; actions are drawn."""
    episodes = EpisodeConfig(horizon=config.horizon, ends="show")
    env = ClassicEnv(TASK, config.episodes, seed=seed + 1, episodes=episodes)
    is_up, steps = np.ones(config.episodes, dtype=bool), np.zeros(config.episodes)
    while is_up.any():
        steps += is_up
        is_up &= ~env.step(act(env.observations)).dones
    return float(steps.mean())
