"""Robots learn from a few hundred comparisons of clips nearly what the true reward teaches them.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, sec. 3.1.1
          and 3.3.
Claims    More labels, more return; 700 nearly match the true reward; labels asked while the agent learns beat the same
          number asked before; clips beat single steps; comparisons beat returns as targets.
Measures  true return of episodes, mean over the last tenth of training, over seeds with a 95 % interval; differences
          are paired by seed.
Needs     The extra `control`.
Differs   PPO in place of TRPO; bodies of Gymnasium's files; horizons and lengths of clips of rl-teacher; the solver
          starts cold at each step; Adam, learning rates and epochs of the predictor are ours, the paper gives none; so
          is L2 on returns (`EnsembleConfig.return_l2`; the arm ``weights_only`` is without);
          scales below `paper` have fewer labels and steps. An oracle answers; people: see christiano2017_backflip.
Result    docs/papers.md#christiano2017_mujoco
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from preflab.control.drawing import BodyPainter
from preflab.control.ensemble import EnsembleConfig
from preflab.control.env import Continuous, VectorEnv
from preflab.control.loop import LoopConfig
from preflab.control.mujoco_tasks import MujocoEnv, task_named
from preflab.control.ppo import PPO, PPOConfig
from preflab.control.predictor import MLP
from preflab.recipes.christiano2017_arms import ABLATIONS
from preflab.recipes.christiano2017_experiment import Experiment, Parts, carry_out
from preflab.recipes.christiano2017_mujoco_report import write_report
from preflab.run import Run


@dataclass(frozen=True, kw_only=True)
class Config(Experiment):
    """Everything a run depends on; saved beside its results."""

    task: str = "half_cheetah"
    """Of `preflab.control.mujoco_tasks`."""
    labels: int = 700
    arms: tuple[str, ...] = ("true_reward", "labels350", "labels700", "labels1400", *ABLATIONS)
    seeds: int = 5
    horizon: int | None = None
    """Steps of an episode, where not the task's own."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=300_000, first_steps=16_000, queries=700))
    ensemble: EnsembleConfig = field(default_factory=lambda: EnsembleConfig(return_l2=1e-3))
    agent: PPOConfig = field(default_factory=PPOConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        task_named(self.task)


def small() -> Config:
    """Half-cheetah, 300,000 steps, five seeds of ten arms."""
    return Config()


def smoke() -> Config:
    """The pendulum, two seeds, a few updates: proves the plumbing and nothing else."""
    loop = LoopConfig(steps=800, first_steps=400, queries=12, stretch=50, first_epochs=2, candidates=40)
    return replace(
        small(),
        task="pendulum",
        labels=12,
        arms=("true_reward", "labels6", "labels12", *ABLATIONS),
        seeds=2,
        copies=4,
        points=2,
        loop=loop,
        agent=replace(PPOConfig(), epochs=2, hidden=(16,)),
    )


def paper() -> Config:
    """Ten million steps. The paper's figures end between five and twenty million. Not run by us."""
    loop = LoopConfig(steps=10_000_000, first_steps=64_000, queries=700, half_life=2e6)
    return replace(small(), loop=loop, points=50)


SCALES: dict[str, Callable[[], Config]] = {"default": small, "small": small, "smoke": smoke, "paper": paper}


def main(config: Config, run: Run) -> None:
    """Train every arm from every seed, compare, film, report."""
    torch.set_num_threads(1)  # networks of 64 units: more threads wait for each other
    carry_out(config, _parts(config), run)
    write_report(run.folder)


def _parts(config: Config) -> Parts:
    def env(copies: int, seed: int) -> MujocoEnv:
        return MujocoEnv(config.task, copies, seed=seed, horizon=config.horizon)

    def predictor(env: VectorEnv) -> MLP:
        actions = env.spec.actions
        assert isinstance(actions, Continuous)
        return MLP(env.spec.obs_shape[0], actions.size)

    return Parts(
        env=env,
        agent=lambda env, seed: PPO(env.spec, config.agent, seed=seed),
        predictor=predictor,
        painter=lambda: BodyPainter(config.task),
        episode=config.horizon or task_named(config.task).horizon,
    )
