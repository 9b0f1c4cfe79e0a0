"""Robots learn from a few hundred comparisons of clips nearly what the true reward teaches them.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, sec. 3.1.1
          and 3.3.
Claims    More labels, more return; 700 nearly match the true reward; labels asked while the agent learns beat the same
          number asked before; clips beat single steps; comparisons beat returns as targets.
Measures  true return of episodes, mean over the last tenth of training (a fiftieth at `paper`), over seeds with a
          95 % interval; differences are paired by seed.
Needs     The extra `control`.
Differs   PPO in place of TRPO; bodies of Gymnasium's files; horizons and lengths of clips of rl-teacher; the solver
          starts cold at each step; Adam, learning rates, batches and epochs of the reward networks, where L2 starts and
          how fast it moves are ours, the paper gives none; so is L2 on returns (`EnsembleConfig.return_l2`; the arm
          ``weights_only`` is without); a bootstrap weighs each label once by Poisson, in place of draws from all;
          there is no dropout, which the paper's arm without L2 keeps. The entropy bonus is 0.01 on every task: the
          paper's 0.001 on Swimmer is ``--set agent.entropy_bonus=0.001``. Acting, asking and fitting take turns.
          Scales below `paper` have fewer steps, and labels come half as often after a tenth of them, not 2 million.
          An oracle answers; people: see christiano2017_backflip.
Result    docs/papers.md#christiano2017_mujoco
"""

from pathlib import Path

import torch

from preflab.control.agents.ppo import PPO
from preflab.control.environments.env import Continuous, VectorEnv
from preflab.control.environments.mujoco_tasks import MujocoEnv, task_named
from preflab.control.rendering.mujoco import BodyRenderer
from preflab.control.rewards.reward_networks import MLP
from preflab.recipes.christiano2017.experiment import run_experiment
from preflab.recipes.christiano2017.experiment_config import Parts
from preflab.recipes.christiano2017.mujoco.config import SCALES, Config, paper, small, smoke
from preflab.recipes.christiano2017.report import Wording, summarise, write_experiment_report
from preflab.run import Run

__all__ = ["SCALES", "Config", "main", "paper", "small", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Train every arm from every seed, compare, render a video, report."""
    torch.set_num_threads(1)  # networks of 64 units: more threads wait for each other
    run_experiment(config, _parts(config), run)
    write_report(run.folder)


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder; see `preflab.recipes.christiano2017.report.write_experiment_report`."""
    return write_experiment_report(folder, "christiano2017_mujoco", Config, _wording, SCALES)


def _wording(config: Config) -> Wording:
    return Wording(
        title=f"{config.task}: a reward from comparisons",
        measure="True return of an episode",
        agent="PPO stands in for the paper's TRPO.",
    )


def _parts(config: Config) -> Parts:
    def env(copies: int, seed: int) -> MujocoEnv:
        return MujocoEnv(config.task, copies, seed=seed, horizon=config.horizon)

    def reward_network(env: VectorEnv) -> MLP:
        actions = env.spec.actions
        assert isinstance(actions, Continuous)
        return MLP(env.spec.obs_shape[0], actions.size)

    return Parts(
        env=env,
        agent=lambda env, seed: PPO(env.spec, config.agent, seed=seed),
        reward_network=reward_network,
        renderer=lambda: BodyRenderer(config.task),
        episode=task_named(config.task).horizon if config.horizon is None else config.horizon,
    )
