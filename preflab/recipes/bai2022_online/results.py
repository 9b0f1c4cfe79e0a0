"""What the stages of ``bai2022_online`` leave: ``results/<stage><round>.json``, and all of a run's by round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from preflab.conversion import stored_as
from preflab.evals.metrics.reply_stats import ReplyFacts
from preflab.maths.statistics import Estimate
from preflab.recipes.common.results import ComparedReplies
from preflab.reporting.verdicts import Verdict
from preflab.run import read_result

T = TypeVar("T")
Vote = tuple[str, str, float, str]
"""First policy, second policy, 1 where the first was better (0.5 for a tie), annotator."""


def data_name(number: int) -> str:
    """What the comparisons of a round are called in results; round 0 is the static ones."""
    return f"round {number}" if number else "static"


@dataclass(frozen=True, kw_only=True)
class DeployResult:
    """Policies that answer from now on."""

    revision: int
    """Of the study."""
    first_event: int = field(metadata=stored_as("from"))
    """Head of the store's log before the deployment; choices after it are waited for."""
    policies: list[str]
    tasks_added: int


@dataclass(frozen=True, kw_only=True)
class EloResult:
    """Ratings of the policies by all choices so far."""

    ratings: dict[str, Estimate]
    """Policy -> Elo; the start policy, or the oldest, is at 0."""
    interval: str
    """Where the intervals come from."""
    ridge: float
    """Above 0 where the choices alone fix no ratings; per squared nat."""
    note: str


@dataclass(frozen=True, kw_only=True)
class CollectResult:
    """Choices of a round, and the range of the store's log that holds them."""

    study: str
    first_event: int = field(metadata=stored_as("from"))
    last_event: int = field(metadata=stored_as("up_to"))
    log_hash: str = field(metadata=stored_as("hash"))
    """Of the log at its last event."""
    digest: str
    """Of the comparisons that were kept beside the run."""
    choices: int
    before_deployment: int = field(metadata=stored_as("before"))
    """Choices among them that were made before the round's policies were there."""
    comparisons: int
    too_weak: int
    ties: int
    annotators: int
    votes: list[Vote]
    elo: EloResult


@dataclass(frozen=True, kw_only=True)
class PreferenceRoundResult:
    """The preference model of a round."""

    mix: dict[str, int]
    """Pairs it was fitted to by where they come from, copies counted."""
    accuracy: dict[str, Estimate | None]
    """On held-out pairs by where they come from; None where there are none."""
    accuracy_of_last_model: Estimate | None = field(metadata=stored_as("before"))
    """Of the round before's model on this round's held-out pairs."""
    agreement: Estimate | None = field(metadata=stored_as("known"))
    """Share of held-out pairs ordered as the annotators truly prefer, where that is known."""
    baselines: dict[str, Estimate]
    steps: int
    trained_tokens: int
    measured_tokens: int


@dataclass(frozen=True, kw_only=True)
class PolicyRoundResult:
    """The training of a round's policy."""

    steps: int
    stopped: str
    """Why it ended before its time; empty where it did not."""
    prompts: int
    refused_prompts: int
    sampled_tokens: float
    """Counts of tokens are sums of logged metrics, which are floats."""
    measured_tokens: float
    trained_tokens: float


@dataclass(frozen=True, kw_only=True)
class TruePreferenceGain:
    """How much more a policy's replies are liked than the start policy's, by the annotators' true preference."""

    gain: Estimate
    """In the preference's own unit."""
    wins: Estimate
    """Share of replies liked better; half is chance."""


@dataclass(frozen=True, kw_only=True)
class MeasureResult:
    """A round's policy on held-out prompts."""

    kl: Estimate
    """To the start policy, nats per reply."""
    gain: Estimate
    """Over the start policy by the round's own preference model, nats."""
    true_gain: TruePreferenceGain | None = field(metadata=stored_as("known"))
    facts: ReplyFacts
    ended_share: float
    sampled_tokens: int


@dataclass(frozen=True, kw_only=True)
class CompareResult:
    """All policies by the last preference model."""

    gain: dict[str, Estimate]
    """Policy -> gain over the start policy, nats."""
    elo: EloResult
    verdicts: list[Verdict]
    examples: list[ComparedReplies]


@dataclass(frozen=True, kw_only=True)
class RoundResults:
    """Results of the stages that have finished, by round; round 0 is before the first deployment."""

    deploy: Mapping[int, DeployResult]
    collect: Mapping[int, CollectResult]
    preference: Mapping[int, PreferenceRoundResult]
    policy: Mapping[int, PolicyRoundResult]
    measure: Mapping[int, MeasureResult]
    compare: CompareResult | None

    @property
    def elo(self) -> EloResult | None:
        """By all choices so far."""
        return self.collect[max(self.collect)].elo if self.collect else None

    @property
    def unrated(self) -> list[str]:
        """Policies that answered in a collected round and have no rating: no choice was between one and another.

        Which policies a turn is answered by is drawn, so that few choices may pass one by.
        """
        answered = dict.fromkeys(name for number in self.collect for name in self.deploy[number].policies)
        ratings = self.elo.ratings if self.elo else {}
        return [name for name in answered if name not in ratings]

    @property
    def waiting_for(self) -> int | None:
        """The round whose policies are deployed and whose choices are not there yet."""
        return next((number for number in self.deploy if number not in self.collect), None)


def read_rounds(folder: Path, rounds: int) -> RoundResults:
    """Everything that the stages of a run have left so far.

    Args:
        rounds  as the settings have it; one more may follow for ratings alone.

    Raises:
        RunError: a file is damaged or was written by another version of preflab.
    """

    def by_round(stage: str, kind: type[T]) -> dict[int, T]:
        results = ((number, read_result(folder, f"{stage}{number}", kind)) for number in range(rounds + 2))
        return {number: result for number, result in results if result is not None}

    return RoundResults(
        deploy=by_round("deploy", DeployResult),
        collect=by_round("collect", CollectResult),
        preference=by_round("preference", PreferenceRoundResult),
        policy=by_round("policy", PolicyRoundResult),
        measure=by_round("measure", MeasureResult),
        compare=read_result(folder, "compare", CompareResult),
    )


def newest_rated(ratings: Mapping[str, object], numbers: Sequence[int]) -> str | None:
    """The newest trained policy that has a rating."""
    names = (f"round-{number}" for number in sorted(numbers, reverse=True))
    return next((name for name in names if name in ratings), None)
