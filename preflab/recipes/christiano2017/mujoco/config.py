"""Settings of the recipe ``christiano2017_mujoco``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from preflab.checks import check_at_least
from preflab.control.agents.ppo import PPOConfig
from preflab.control.environments.mujoco_tasks import task_named
from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.recipes.christiano2017.arms import ABLATIONS
from preflab.recipes.christiano2017.experiment_config import Experiment


@dataclass(frozen=True, kw_only=True)
class Config(Experiment):
    """Everything a run depends on; saved beside its results."""

    task: str = "half_cheetah"
    """Of `preflab.control.environments.mujoco_tasks`."""
    labels: int = 700
    arms: tuple[str, ...] = ("true_reward", "labels350", "labels700", "labels1400", *ABLATIONS)
    seeds: int = 5
    horizon: int | None = None
    """Steps of an episode, where not the task's own."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=300_000, pretrain_steps=16_000, queries=700))
    ensemble: EnsembleConfig = field(default_factory=lambda: EnsembleConfig(return_l2=1e-3))
    agent: PPOConfig = field(default_factory=PPOConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "horizon")
        task_named(self.task)


def small() -> Config:
    """Half-cheetah, 300,000 steps, five seeds of ten arms."""
    return Config()


def smoke() -> Config:
    """The pendulum, two seeds, a few updates: proves the plumbing and nothing else."""
    loop = LoopConfig(steps=800, pretrain_steps=400, queries=12, rollout_steps=50, pretrain_epochs=2, candidates=40)
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
    loop = LoopConfig(steps=10_000_000, pretrain_steps=64_000, queries=700, half_life=2e6)
    return replace(small(), loop=loop, points=50)


SCALES: dict[str, Callable[[], Config]] = {"default": small, "small": small, "smoke": smoke, "paper": paper}
