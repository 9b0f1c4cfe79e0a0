"""Settings that `christiano2017_mujoco` and `christiano2017_atari` share, and what each of them trains."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import nn

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.control.agents.agent import Agent
from preflab.control.environments.env import Renderer, VectorEnv
from preflab.control.loop_config import LoopConfig
from preflab.control.rewards.ensemble_config import EnsembleConfig
from preflab.control.rewards.oracle import OracleConfig
from preflab.control.trajectory import Trajectory
from preflab.errors import ConfigError
from preflab.recipes.christiano2017.arms import TRUE, Arm, arm_of


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Arms, seeds, and the settings of each part; saved beside a run's results."""

    labels: int
    """Of the ablations; the arm ``labels`` with this number is what they are held against."""
    arms: tuple[str, ...]
    """``true_reward``, ``labelsN``, the ablations (random, one, offline, weights_only, unregularised, steps, target),
    flips and flips_trusted (an oracle that errs). Each has queries of its own: ``labels``, or its N."""
    seeds: int
    copies: int = 16
    points: int = 10
    """Parts into which curves are cut; the last is the result."""
    loop: LoopConfig
    """Its ``queries`` are those of each arm."""
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    oracle: OracleConfig = field(default_factory=OracleConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "labels", "seeds", "copies", "points")
        if not self.arms:
            raise ConfigError("arms must name at least one, got none")
        if len(set(self.arms)) < len(self.arms):
            raise ConfigError(f"an arm is named twice: {', '.join(self.arms)}")
        middle = self.arm(self.middle)
        for name in self.arms:
            same = replace(self.arm(name), name=self.middle) == middle
            if same and name not in (TRUE, self.middle):
                raise ConfigError(f"arm {name!r} differs from {self.middle!r} in nothing under these settings")
        if self.loop.hide_true_reward:
            raise ConfigError("loop.hide_true_reward=true: the oracle would see no reward")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        return {"loop.queries": "arms, which have queries of their own (labels, or the number in the arm's name)"}

    def arm(self, name: str) -> Arm:
        """The arm of that name under these settings."""
        return arm_of(name, self.labels, self.loop, self.ensemble, self.oracle)

    @property
    def middle(self) -> str:
        """The arm that ablations are held against."""
        return f"labels{self.labels}"


@dataclass(frozen=True)
class Parts:
    """What a recipe trains, made anew for every arm and seed."""

    env: Callable[[int, int], VectorEnv]
    """Of copies and a seed."""
    agent: Callable[[VectorEnv, int], Agent]
    reward_network: Callable[[VectorEnv], nn.Module]
    renderer: Callable[[], Renderer]
    episode: int
    """Steps over which an untrained policy is measured."""
    normalise: bool = True
    """Whether the true reward is brought to mean 0 and deviation 1."""
    facts: Callable[[VectorEnv], Callable[[Trajectory], dict[str, float]]] | None = None
    """What else is logged of each trajectory."""
