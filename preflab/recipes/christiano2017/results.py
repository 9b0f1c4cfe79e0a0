"""Results of the stages of `christiano2017_mujoco` and `christiano2017_atari`, as their files hold them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from preflab.conversion import stored_as
from preflab.maths.statistics import Estimate
from preflab.recipes.christiano2017.experiment_config import Experiment
from preflab.reporting.verdicts import Verdict
from preflab.run import read_result


@dataclass(frozen=True, kw_only=True)
class UntrainedReturns:
    """True return of each seed's policy before it learned."""

    returns: tuple[float, ...]
    mean: Estimate


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One arm from one seed. Curves are means over equal parts of the steps; None where no episode ended."""

    curve: tuple[float | None, ...]
    """True return."""
    learned_curve: tuple[float | None, ...] = field(metadata=stored_as("handed"))
    """Learned return: by the reward that the agent was given."""
    scores: tuple[float | None, ...]
    """Scores of games that ended."""
    steps: int
    labels: Mapping[str, int]
    """How many of each answer; empty on the true reward."""
    rank_correlation: float | None
    """Of true and learned returns of the latest episodes."""
    disagreement_asked: float | None = field(metadata=stored_as("disputed_asked"))
    """Disagreement of the pairs asked about, when they were."""
    disagreement_candidates: float | None = field(metadata=stored_as("disputed_candidates"))
    """Disagreement of all pairs that could have been."""
    held_out_accuracy: float | None
    mean_reward: float | None
    """Mean and deviation of the learned rewards, in the second half."""
    std_reward: float | None
    episodes: tuple[tuple[float, float], ...]
    """True and learned returns of the latest episodes."""
    disagreement_at_end: float | None = field(default=None, metadata=stored_as("disputed_now"))
    """Disagreement at the end on the pairs asked about; None on the true reward, as is the next."""
    target_std: float | None = None
    """The deviation that the rewards should have."""

    @property
    def labels_given(self) -> int:
        """Answers, ties and "cannot tell" among them."""
        return sum(self.labels.values())


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Arms over seeds, and the verdicts on the claims."""

    verdicts: tuple[Verdict, ...]
    returns: Mapping[str, Estimate]
    """Arm -> true return at the end."""
    by_seed: Mapping[str, tuple[float, ...]]
    curves: Mapping[str, tuple[Estimate | None, ...]]
    steps: tuple[float, ...] = field(metadata=stored_as("at"))
    """Environment steps at which the parts of the curves end."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """The first seed's policy before and after."""

    video: str = field(metadata=stored_as("film"))
    """Name of the file in the run's folder."""
    arm: str


@dataclass(frozen=True)
class ExperimentResults:
    """Everything that the stages of a run found."""

    untrained: UntrainedReturns
    arms: Mapping[str, tuple[ArmResult, ...]]
    """Arm -> [seed]."""
    comparison: Comparison
    video: Video | None


def read_experiment(folder: Path, config: Experiment) -> ExperimentResults | None:
    """The results in a run folder; None while not all arms are compared.

    Raises:
        RunError: a file is damaged, or was written by another version of preflab.
    """
    untrained, comparison = (
        read_result(folder, "untrained", UntrainedReturns),
        read_result(folder, "compare", Comparison),
    )
    if untrained is None or comparison is None:
        return None
    arms: dict[str, tuple[ArmResult, ...]] = {}
    for arm in config.arms:
        seeds = (read_result(folder, f"{arm}-{seed}", ArmResult) for seed in range(config.seeds))
        arms[arm] = tuple(result for result in seeds if result is not None)
    return ExperimentResults(untrained, arms, comparison, read_result(folder, "film", Video))
