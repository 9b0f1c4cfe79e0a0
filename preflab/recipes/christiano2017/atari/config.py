"""Settings of the recipe ``christiano2017_atari``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from preflab.checks import check_within
from preflab.control.agents.a2c import A2CConfig
from preflab.control.environments.atari_games import game_named
from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.errors import ConfigError
from preflab.recipes.christiano2017.experiment_config import Experiment

WINDOW = 500
"""Steps over which returns are summed: play has no end."""


@dataclass(frozen=True, kw_only=True)
class Config(Experiment):
    """Everything a run depends on; saved beside its results."""

    game: str = "pong"
    """beam_rider, breakout, enduro, pong, qbert, seaquest or space_invaders."""
    labels: int = 200
    arms: tuple[str, ...] = ("true_reward", "labels200")
    seeds: int = 2
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=100_000,
            pretrain_steps=8_000,
            queries=200,
            rollout_steps=100,
            update_steps=5,
            window=WINDOW,
            label_buffer=3000,
            pretrain_epochs=20,
            fit_every=5,
        )
    )
    ensemble: EnsembleConfig = field(
        default_factory=lambda: EnsembleConfig(target_std=0.05, learning_rate=2e-4, batch_labels=32)
    )
    agent: A2CConfig = field(default_factory=A2CConfig)
    dropout: float = 0.5
    """Of the reward network's convolutions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_within(self, "[0, 1)", "dropout")
        game_named(self.game)
        if "steps" in self.arms:
            raise ConfigError("the arm 'steps' is for MuJoCo: the paper compares no single screens")
        if self.loop.window is None:
            raise ConfigError("loop.window must be given: play has no end, and returns are summed over so many steps")


def small() -> Config:
    """One game, 100,000 steps, two seeds of two arms: half an hour of one core, and hardly the beginning of play."""
    return Config()


def smoke() -> Config:
    """A few updates of one seed: proves the plumbing and nothing else."""
    config = small()
    loop = replace(
        config.loop, steps=600, pretrain_steps=200, queries=8, rollout_steps=50, window=50, pretrain_epochs=1
    )
    return replace(config, labels=8, arms=("true_reward", "labels8", "offline"), seeds=1, copies=2, points=2, loop=loop)


def paper() -> Config:
    """50 million steps, 5,500 labels, in the paper's steps of 5 million frames. Not run by us: see Differs."""
    config = small()
    loop = replace(
        config.loop,
        steps=50_000_000,
        pretrain_steps=200_000,
        queries=5500,
        pretrain_label_share=500 / 5500,
        schedule="stepwise",
        half_life=1.25e6,
        pretrain_epochs=200,
        fit_every=19,
    )
    arms = ("true_reward", "labels3300", "labels5500")
    return replace(config, labels=5500, arms=arms, seeds=3, loop=loop, points=100)


SCALES: dict[str, Callable[[], Config]] = {"default": small, "small": small, "smoke": smoke, "paper": paper}
