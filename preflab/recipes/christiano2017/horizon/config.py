"""Settings of the recipe ``christiano2017_horizon``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.control.agents.ppo import PPOConfig
from preflab.control.environments.gym_env import Ends
from preflab.errors import ConfigError

TASK, SOURCE = "CartPole-v1", "Christiano et al. 2017, appendix A"

ARMS: dict[str, tuple[Ends, float]] = {"varying": ("show", 1.0), "fixed": ("hide", 1.0), "minus": ("show", -1.0)}
"""Whether the agent is told of a fall, and what it is paid for each step."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    seeds: int = 5
    copies: int = 8
    steps: int = 256
    """Of each copy between two updates."""
    updates: int = 40
    measure_every: int = 5
    """Updates between two measurements."""
    horizon: int = 500
    episodes: int = 32
    """Of each measurement."""
    ppo: PPOConfig = field(default_factory=lambda: PPOConfig(entropy_bonus=0.0))
    """No entropy bonus: with a constant reward it would be all there is to learn from."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "seeds", "copies", "steps", "measure_every", "horizon", "episodes")
        if self.updates < self.measure_every:
            raise ConfigError(f"updates must be at least measure_every ({self.measure_every}), got {self.updates}")


def small() -> Config:
    """Five seeds of 82,000 steps in each arm: 150 s of one core."""
    return Config()


def smoke() -> Config:
    """Two seeds of a few updates: proves the plumbing and nothing else."""
    return replace(small(), seeds=2, copies=4, steps=32, updates=2, measure_every=1, horizon=60, episodes=4)


def paper() -> Config:
    """Twenty seeds and five times the steps; the paper itself has no such experiment. Not run by us."""
    return replace(small(), seeds=20, updates=200, measure_every=10, episodes=100)


SCALES: dict[str, Callable[[], Config]] = {"default": small, "small": small, "smoke": smoke, "paper": paper}
