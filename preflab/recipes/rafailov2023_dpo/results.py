"""What the stages of the recipe ``rafailov2023_dpo`` leave: ``results/<stage>.json``.

The data, the held-out preference model and the fine-tuning leave what `preflab.recipes.common.results` has for them.
"""

from dataclasses import dataclass, field

from preflab.evals.metrics.preference import PreferenceReport
from preflab.evals.metrics.reply_stats import ReplyFacts
from preflab.maths.statistics import Estimate
from preflab.recipes.common.results import ComparedReplies
from preflab.reporting.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class DPOResult(PreferenceReport):
    """The fit, and the implicit rewards of the policy on held-out pairs."""

    baseline_notes: dict[str, str]
    """What each baseline does."""
    verdicts: list[Verdict]
    steps: int
    rows: int
    """Rows that were trained on; one holds all comparisons of a dialogue."""
    trained_tokens: int
    measured_tokens: int
    without_pairs: int
    """Training comparisons without a pair of a clear label, which taught nothing."""


@dataclass(frozen=True, kw_only=True)
class MeasureResult:
    """Replies of policy and reference to held-out prompts; intervals resample prompts."""

    kl: Estimate
    """Of the policy from its reference, nats per reply."""
    gain: Estimate | None = None
    """In score by the held-out preference model, nats; None without that model, as for the next."""
    win_rate: Estimate | None = None
    """Share of replies that this model prefers to the reference's; a tie counts half."""
    win_rate_by_category: dict[str, Estimate] = field(default_factory=dict)
    facts: dict[str, ReplyFacts]
    """Policy (``before``, ``after``) -> what its replies look like."""
    ended_share: dict[str, float]
    """Policy -> share of its replies that end by themselves."""
    examples: list[ComparedReplies]
    verdicts: list[Verdict]
    sampled_tokens: int
    measured_tokens: int
