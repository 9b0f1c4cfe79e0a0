"""Robots learn from a few hundred comparisons of clips nearly what the true reward teaches them.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, sec. 3.1.1
          and 3.3.
Claims    More labels, more return; 700 nearly match the true reward; labels asked while the agent learns beat the same
          number asked before; clips beat single steps; comparisons beat returns as targets.
Measures  true return of episodes, mean over the last tenth of training, over seeds with a 95 % interval; differences
          are paired by seed.
Needs     The extra `control`.
Differs   PPO in place of TRPO; bodies of Gymnasium's files; horizons and lengths of clips of rl-teacher; the solver
          starts cold at each step; Adam, learning rates and epochs of the predictor are ours, the paper gives none;
          scales below `paper` have fewer labels and steps. An oracle answers; people: see christiano2017_backflip.
Result    docs/papers.md#christiano2017_mujoco
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from preflab.control.ensemble import EnsembleConfig
from preflab.control.loop import LoopConfig
from preflab.control.mujoco_tasks import task_named
from preflab.control.oracle import OracleConfig
from preflab.control.ppo import PPOConfig
from preflab.errors import ConfigError
from preflab.recipes.christiano2017_mujoco_arms import ABLATIONS, arm_of
from preflab.recipes.christiano2017_mujoco_report import write_report
from preflab.recipes.christiano2017_mujoco_stages import compare, filmed, train, untrained
from preflab.run import Run


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    task: str = "half_cheetah"
    """Of `preflab.control.mujoco_tasks`."""
    labels: int = 700
    """Of the ablations; the arm ``labels700`` is what they are held against."""
    arms: tuple[str, ...] = ("true_reward", "labels350", "labels700", "labels1400", *ABLATIONS)
    """``true_reward``, ``labelsN`` and the ablations: random, one, offline, unregularised, steps, target."""
    seeds: int = 5
    copies: int = 16
    horizon: int | None = None
    """Steps of an episode, where not the task's own."""
    points: int = 10
    """Parts into which curves are cut; the last is the result."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=500_000, first_steps=16_000, queries=700))
    """Its ``queries`` are those of each arm."""
    agent: PPOConfig = field(default_factory=PPOConfig)
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    oracle: OracleConfig = field(default_factory=OracleConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.seeds, self.copies, self.points) < 1 or not self.arms:
            raise ConfigError("seeds, copies and points must be at least 1, and there must be an arm")
        if len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"an arm is named twice: {', '.join(self.arms)}")
        task_named(self.task)
        for name in self.arms:
            arm_of(name, self.labels, self.loop, self.ensemble)
        if self.loop.blind:
            raise ConfigError("loop.blind=true: the oracle would see no reward")


def small() -> Config:
    """Half-cheetah, half a million steps, five seeds of ten arms: about two hours of one core (guessed from 75 s a run
    of PPO alone)."""
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
    """Train every arm from every seed, compare, film, report; each is a stage, and none is done twice."""
    torch.set_num_threads(1)  # networks of 64 units: more threads wait for each other
    run.stage("untrained", lambda: untrained(config, run))
    for seed in range(config.seeds):
        for name in config.arms:
            arm = arm_of(name, config.labels, config.loop, config.ensemble)
            run.stage(f"{name}-{seed}", lambda arm=arm, seed=seed: train(config, run, arm, seed))  # type: ignore[misc]
    run.stage("compare", lambda: compare(config, run))
    budget = f"labels{config.labels}"
    run.stage("film", lambda: filmed(config, run, budget if budget in config.arms else config.arms[-1]))
    write_report(run.folder)
