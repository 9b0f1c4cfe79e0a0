"""What the stages of the recipe ``align`` leave: ``results/<stage>.json``.

The data, both preference models and the export leave what `preflab.recipes.common` has for them. In JSON the
preference model that policies are optimised against is ``pm``, the held-out one ``pm_judge``, and the trained policy
is ``ppo`` whatever method trained it.
"""

from dataclasses import dataclass, field
from pathlib import Path

from preflab.conversion import stored_as
from preflab.evals.metrics.reply_stats import ReplyFacts
from preflab.maths.statistics import Estimate
from preflab.recipes.common.comparison_parts import DataResult
from preflab.recipes.common.results import HELD_OUT_PM, ExportResult, PreferenceResult
from preflab.reporting.verdicts import Verdict
from preflab.run import read_result

TRAINING_PM = "pm"
"""Role and weights of the preference model that best-of-n and the policy are optimised against."""


# best-of-n -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """Expected scores of the best of n replies, as picked by the training preference model."""

    n: int
    kl: float
    """Upper bound of its distance from the base policy, nats per reply."""
    kl_of_drawn: Estimate | None = None
    """Exactly, if the replies that were drawn were all that the policy can say; None in runs of earlier versions."""
    score: Estimate
    """By the model that picks, nats above the base policy's mean."""
    held_out_score: Estimate = field(metadata=stored_as("judge_score"))
    """By the held-out model, nats above the base policy's mean."""


@dataclass(frozen=True, kw_only=True)
class MeanScores:
    """Mean scores of the base policy's replies, nats: where each model's scale has its 0."""

    training_pm: float = field(metadata=stored_as(TRAINING_PM))
    held_out_pm: float = field(metadata=stored_as(HELD_OUT_PM))


@dataclass(frozen=True, kw_only=True)
class ScoredReplies:
    """One reply to each evaluation prompt, and its score by each preference model, nats."""

    texts: list[str]
    training_pm: list[float] = field(metadata=stored_as(TRAINING_PM))
    held_out_pm: list[float] = field(metadata=stored_as(HELD_OUT_PM))


@dataclass(frozen=True, kw_only=True)
class BestOfNResult:
    """Replies of the policy as it was loaded, and the best of them."""

    curve: list[CurvePoint]
    """By n, rising."""
    centre: MeanScores
    sampled_tokens: int
    measured_tokens: int
    ended_share: float
    """Share of the replies that end by themselves."""
    base: ScoredReplies
    """A plain sample."""
    best: ScoredReplies
    """The best of the largest n by the training model; the plain sample is not among them."""


# policy --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PolicyTrainingResult:
    """The training of the policy. Counts of tokens are sums of logged metrics, which are floats."""

    steps: int
    stopped: str
    """Why it ended before its time; empty where it did not."""
    method: str
    """``PPO``, ``RLOO`` or ``REINFORCE``."""
    prompts: int
    refused_prompts: int
    sampled_tokens: float
    measured_tokens: float
    trained_tokens: float
    sampling_seconds: float


# comparison of the policies ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ByJudge:
    """A policy against the base policy, by each preference model."""

    training_pm: Estimate = field(metadata=stored_as(TRAINING_PM))
    held_out_pm: Estimate = field(metadata=stored_as(HELD_OUT_PM))


@dataclass(frozen=True, kw_only=True)
class ByPolicyAndJudge:
    """Both improved policies against the base policy, by each preference model."""

    best_of_n: ByJudge
    trained: ByJudge = field(metadata=stored_as("ppo"))


@dataclass(frozen=True, kw_only=True)
class WinRateGaps:
    """How much more often each improved policy wins by the training model than by the held-out one, a share."""

    best_of_n: Estimate
    trained: Estimate = field(metadata=stored_as("ppo"))


@dataclass(frozen=True, kw_only=True)
class KLToBase:
    """Distance of each improved policy from the base policy, nats per reply."""

    best_of_n: float
    """An upper bound: log n - (n - 1)/n."""
    trained: Estimate = field(metadata=stored_as("ppo"))


@dataclass(frozen=True, kw_only=True)
class FactsByPolicy:
    """What the replies of each policy look like."""

    base: ReplyFacts
    best_of_n: ReplyFacts
    trained: ReplyFacts = field(metadata=stored_as("ppo"))


@dataclass(frozen=True, kw_only=True)
class RootKLFit:
    """A straight line of the training score in the square root of KL, over the steps (Bai et al. 2022, sec. 4.3)."""

    slope: float
    """Nats per root nat."""
    intercept: float
    """Nats."""
    r_squared: float
    r_squared_in_kl: float
    """Of a straight line in KL itself, to compare with."""
    n: int
    """Steps."""


@dataclass(frozen=True, kw_only=True)
class PolicyScores:
    """Scores of one reply of each policy by the held-out model, nats; 0 is the base policy's mean."""

    base: float
    best_of_n: float
    trained: float = field(metadata=stored_as("ppo"))


@dataclass(frozen=True, kw_only=True)
class PolicyReplies:
    """One evaluation prompt, and one reply of each policy to it."""

    prompt: list[dict[str, str]]
    """Turns, with ``role`` and ``content``."""
    category: str
    base: str
    best_of_n: str
    trained: str = field(metadata=stored_as("ppo"))
    scores: PolicyScores = field(metadata=stored_as("judge"))


@dataclass(frozen=True, kw_only=True)
class ReplyCounts:
    """What sampling and measuring the trained policy took."""

    sampled_tokens: int
    measured_tokens: int
    ended_share: float
    """Share of its replies that end by themselves."""


@dataclass(frozen=True, kw_only=True)
class MeasureResult(ReplyCounts):
    """Base, best-of-n and trained policy on the same held-out prompts; intervals resample prompts."""

    n: int
    """Of best-of-n."""
    gain: ByPolicyAndJudge
    """In score, nats."""
    win_rate: ByPolicyAndJudge
    """Share of prompts on which the reply scores higher than the base policy's; a tie counts half."""
    win_rate_gap: WinRateGaps
    win_rate_by_category: dict[str, Estimate]
    """Of the trained policy by the held-out model."""
    kl: KLToBase
    facts: FactsByPolicy
    root_kl_fit: RootKLFit | None
    """None where KL hardly moved, or after fewer than three steps."""
    examples: list[PolicyReplies]
    verdicts: list[Verdict]


# alignment suites ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MeasureChange:
    """A measure of a suite before and after, on the items that were scored in both."""

    name: str
    unit: str
    better: str
    """``higher``, ``lower``, or neither."""
    before: Estimate | None = field(metadata=stored_as("a"))
    after: Estimate | None = field(metadata=stored_as("b"))
    gap: Estimate | None
    """After minus before, paired item by item; None where it is undefined."""
    outcome: str
    """As `preflab.evals.core.paired_difference.MeasureDifference` words it: of the policy after."""


@dataclass(frozen=True, kw_only=True)
class FailedItems:
    """Why items could not be scored -> how many."""

    before: dict[str, int]
    after: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class SuiteChange:
    """A suite before and after."""

    title: str
    summary: str
    items: int
    """Scored in both."""
    failed: FailedItems
    differences: list[MeasureChange]


@dataclass(frozen=True, kw_only=True)
class SuitesResult:
    """The suites that come with the package."""

    suites: dict[str, SuiteChange]
    measured_tokens: int


# all of a run --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class AlignResults:
    """Results of the stages that have finished; None of the others."""

    data: DataResult | None
    preference: PreferenceResult | None
    held_out_preference: PreferenceResult | None
    best_of_n: BestOfNResult | None
    policy: PolicyTrainingResult | None
    measure: MeasureResult | None
    suites: SuitesResult | None
    export: ExportResult | None


def read_align_results(folder: Path) -> AlignResults:
    """Everything that the stages of a run have left so far.

    Raises:
        RunError: a file is damaged, or was written by another version of preflab.
    """
    return AlignResults(
        data=read_result(folder, "data", DataResult),
        preference=read_result(folder, "preference", PreferenceResult),
        held_out_preference=read_result(folder, "preference_judge", PreferenceResult),
        best_of_n=read_result(folder, "best_of_n", BestOfNResult),
        policy=read_result(folder, "ppo", PolicyTrainingResult),
        measure=read_result(folder, "measure", MeasureResult),
        suites=read_result(folder, "suites", SuitesResult),
        export=read_result(folder, "export", ExportResult),
    )
