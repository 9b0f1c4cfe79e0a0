"""Settings of the recipe ``christiano2017_backflip``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.control.agents.ppo import PPOConfig
from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.errors import ConfigError
from preflab.recipes.christiano2017.backflip.synthetic_labeller import SyntheticLabellerConfig

RESUME_MAY_CHANGE = ("store", "videos")
TITLE = "Which robot is better at backflips?"
INSTRUCTIONS = """\
Two clips of a one-legged robot; the black dot is its head. Choose the clip in which it comes closer to a backflip: the
robot jumps, turns backwards (to the left, against the clock) in the air, and lands on its foot. Turning further is
better; turning while it lies on the ground is not a flip, and turning forwards is worse than none. Where neither turns,
choose the one that stands or jumps higher. Judge by what you see in the clip alone. If both are about as good, press
the up key; if you cannot tell, the down key, and go on.
"""


FLIPPER = PPOConfig(epochs=5, minibatch_steps=500, learning_rate=5e-4, entropy_bonus=0.001)
"""Tuned together with the synthetic labeller; the two effects were not separated."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    loop: LoopConfig
    seed: int = 0
    labeller: Literal["synthetic", "human"] = "synthetic"
    """``synthetic``: scripted, answers at once. ``human``: people on the collection site, whose store it shares."""
    synthetic: SyntheticLabellerConfig = field(default_factory=SyntheticLabellerConfig)
    agent: PPOConfig = field(default_factory=lambda: FLIPPER)
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    horizon: int = 250
    """Steps of an episode, two seconds of the hopper's time; of the task's own 1,000 most are spent on the ground."""
    copies: int = 16
    episodes: int = 32
    """To measure turns on."""
    store: str = "collect/store.db"
    """Of the site; with labeller=human."""
    study: str = "backflip"
    """With labeller=human: of this run alone."""
    videos: str = ""
    """Folder that the site serves videos from; empty: ``films`` beside the store."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "horizon", "copies")
        loop = self.loop
        if (
            self.horizon % loop.rollout_steps
            or loop.pretrain_steps % (loop.rollout_steps * self.copies)
            or self.episodes < 2
        ):
            raise ConfigError(
                "expected a horizon that is a whole multiple of loop.rollout_steps, pretrain_steps of rollout_steps "
                f"times copies, and at least 2 episodes, got {self}"
            )
        if not loop.hide_true_reward:
            raise ConfigError("loop.hide_true_reward=false: this recipe shows nobody the hopper's own reward")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        dead = ("synthetic",) if self.labeller == "human" else ("store", "study", "videos")
        return dict.fromkeys(dead, f"labeller={self.labeller}")


LOOP = LoopConfig(steps=500_000, pretrain_steps=32_000, queries=900, rollout_steps=125, hide_true_reward=True)


def small() -> Config:
    """900 queries and half a million steps: minutes of one core, or about an hour of a person."""
    return Config(loop=LOOP)


def smoke() -> Config:
    """Proves the plumbing and nothing else."""
    loop = replace(
        LOOP, steps=2_400, pretrain_steps=800, queries=12, rollout_steps=100, candidates=50, pretrain_epochs=2
    )
    return replace(small(), loop=loop, horizon=100, copies=4, episodes=2)


def paper() -> Config:
    """900 queries as in the paper, which does not give the steps; episodes of the task's full length."""
    return Config(loop=replace(LOOP, steps=10_000_000, pretrain_steps=64_000, half_life=2e6), horizon=1000, copies=32)


SCALES: dict[str, Callable[[], Config]] = {"default": small, "smoke": smoke, "small": small, "paper": paper}
