"""Results of the stages of `christiano2017_backflip`, as their files hold them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from preflab.conversion import stored_as
from preflab.maths.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class TurnResult:
    """A policy in fresh episodes."""

    turns: Estimate
    """Backwards, in an episode."""
    most_turns: float = field(metadata=stored_as("most"))
    share_of_a_turn_or_more: float
    height: float
    """Of the torso, mean, metres."""
    video: str = field(metadata=stored_as("film"))
    """Name of the video in the run's folder."""


@dataclass(frozen=True, kw_only=True)
class LearningResult:
    """How the loop went."""

    steps: int
    updates: int
    queries: int
    labels: Mapping[str, int]
    """How many of each answer."""
    labellers: tuple[str, ...]
    seconds_answering: float | None
    """Of people; None where nobody was asked."""

    @property
    def labels_given(self) -> int:
        """Answers, ties and "cannot tell" among them."""
        return sum(self.labels.values())
