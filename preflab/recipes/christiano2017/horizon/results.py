"""Results of the stages of `christiano2017_horizon`, as their files hold them."""

from collections.abc import Mapping
from dataclasses import dataclass

from preflab.maths.statistics import Estimate
from preflab.reporting.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class AgentResult:
    """One agent under a constant reward."""

    arm: str
    curve: tuple[tuple[int, float], ...]
    """Environment steps of training, and steps until the pole falls."""
    untrained: float
    """Steps until the pole falls, before the first update."""
    trained: float
    """Steps until the pole falls, after the last."""
    falls: int
    """Early ends in training."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Arms over seeds, and the verdicts on the claims; numbers are steps until the pole falls."""

    verdicts: tuple[Verdict, ...]
    untrained: Estimate
    trained: Mapping[str, Estimate]
    """Arm -> after training."""
    steps: tuple[int, ...]
    """Environment steps at which the curves were measured."""
    curves: Mapping[str, tuple[Estimate, ...]]
    falls: Mapping[str, int]
    """Arm -> early ends in training, of all seeds."""
