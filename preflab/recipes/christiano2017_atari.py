"""Atari games are learned from comparisons of clips of their screens, the score hidden.

Paper     Christiano et al. 2017, "Deep Reinforcement Learning from Human Preferences", arXiv 1706.03741, sec. 3.1.2,
          3.3 and appendix A.2.
Claims    Pong and BeamRider from 3,300 labels nearly match the true reward, others gain much; labels asked while the
          agent learns beat the same number asked before.
Measures  true return of 500 steps (33 s of play), the game's points clipped to [-1, 1] and 1 taken for each life lost,
          over seeds with a 95 % interval; differences are paired by seed. The scores of finished games beside it.
Needs     The extra `control`; cartridges come with ale-py.
Differs   Labels come in a smooth hyperbola, not in steps of 5 million frames, below `paper`; Adam, rates and epochs of
          the predictor are ours; rectangles that are blanked are ours; a lost life costs 1, the paper names no number.
          Scales below `paper` have fewer labels and steps: a core makes the paper's 50 million steps in two days of
          play for each arm and seed, before any fitting. An oracle answers.
Result    docs/papers.md#christiano2017_atari
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from preflab.control.a2c import A2C, A2CConfig
from preflab.control.atari import AtariEnv
from preflab.control.atari_games import game_named
from preflab.control.ensemble import EnsembleConfig
from preflab.control.env import VectorEnv
from preflab.control.loop import LoopConfig
from preflab.control.predictor import ConvNet
from preflab.control.screens import ScreenPainter
from preflab.control.stretch import Stretch
from preflab.errors import ConfigError
from preflab.recipes.christiano2017_atari_report import write_report
from preflab.recipes.christiano2017_experiment import Experiment, Parts, carry_out
from preflab.run import Run

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
            first_steps=8_000,
            queries=200,
            stretch=100,
            update_steps=5,
            window=WINDOW,
            keep=3000,
            first_epochs=20,
            fit_every=5,
        )
    )
    ensemble: EnsembleConfig = field(
        default_factory=lambda: EnsembleConfig(target_std=0.05, learning_rate=2e-4, batch_labels=32)
    )
    agent: A2CConfig = field(default_factory=A2CConfig)
    dropout: float = 0.5
    """Of the reward predictor's convolutions."""

    def __post_init__(self) -> None:
        super().__post_init__()
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
    loop = replace(config.loop, steps=600, first_steps=200, queries=8, stretch=50, window=50, first_epochs=1)
    return replace(config, labels=8, arms=("true_reward", "labels8", "offline"), seeds=1, copies=2, points=2, loop=loop)


def paper() -> Config:
    """50 million steps, 5,500 labels, in the paper's steps of 5 million frames. Not run by us: see Differs."""
    config = small()
    loop = replace(
        config.loop,
        steps=50_000_000,
        first_steps=200_000,
        queries=5500,
        first_share=500 / 5500,
        schedule="stepwise",
        half_life=1.25e6,
        first_epochs=200,
        fit_every=19,
    )
    return replace(config, labels=5500, arms=("true_reward", "labels3300", "labels5500"), loop=loop, points=100)


SCALES: dict[str, Callable[[], Config]] = {"default": small, "small": small, "smoke": smoke, "paper": paper}


def main(config: Config, run: Run) -> None:
    """Train every arm from every seed, compare, film, report."""
    torch.set_num_threads(1)  # arms may run side by side; sixteen screens at a time gain little from a second
    carry_out(config, _parts(config), run)
    write_report(run.folder)


def _parts(config: Config) -> Parts:
    def env(copies: int, seed: int) -> AtariEnv:
        return AtariEnv(config.game, copies, seed=seed)

    return Parts(
        env=env,
        agent=lambda env, seed: A2C(env.spec, config.agent, seed=seed),
        predictor=lambda env: ConvNet(dropout=config.dropout),
        painter=ScreenPainter,
        episode=config.loop.window or WINDOW,
        normalise=False,  # the game's points, clipped, are what A2C's settings are for
        facts=_scores,
    )


def _scores(env: VectorEnv) -> Callable[[Stretch], dict[str, float]]:
    """Scores of the games that ended since the last look, and how many there were."""

    def of(stretch: Stretch) -> dict[str, float]:
        assert isinstance(env, AtariEnv)
        found = env.finished_scores()
        return {"games": float(len(found)), "score": sum(found) / len(found)} if found else {"games": 0.0}

    return of
