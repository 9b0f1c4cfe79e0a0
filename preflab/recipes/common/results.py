"""Results that stages of several recipes share; keys of stored JSON are the fields' names or stand beside them."""

from dataclasses import dataclass, field

from preflab.conversion import stored_as
from preflab.evals.metrics.preference import PreferenceReport
from preflab.maths.statistics import Estimate

HELD_OUT_PM = "pm_judge"
"""Role and weights of a held-out preference model, which nothing is optimised against."""


@dataclass(frozen=True, kw_only=True)
class PreferenceResult(PreferenceReport):
    """A fitted preference model on held-out pairs."""

    baseline_notes: dict[str, str]
    """What each baseline does."""
    steps: int
    trained_tokens: int
    measured_tokens: int
    without_pairs: int
    """Training comparisons without a pair of a clear label, which taught nothing."""


@dataclass(frozen=True, kw_only=True)
class LossChange:
    """Loss on unseen replies before and after training; intervals resample prompts."""

    before: Estimate
    """Nats per reply token."""
    after: Estimate
    """Nats per reply token."""
    gain: Estimate
    """Nats per reply token that were gained, paired token by token."""


@dataclass(frozen=True, kw_only=True)
class SFTResult(LossChange):
    """A fine-tuning."""

    steps: int
    trained_tokens: int
    measured_tokens: int


@dataclass(frozen=True, kw_only=True)
class ComparedReplies:
    """One prompt, and a reply of each policy to it."""

    prompt: list[dict[str, str]]
    """Turns, with ``role`` and ``content``."""
    category: str
    replies: dict[str, str]
    """Policy -> its reply."""
    scores: dict[str, float] = field(metadata=stored_as("judge"))
    """Policy -> score of its reply by the held-out preference model, nats; empty without one."""


@dataclass(frozen=True)
class ExportResult:
    """What was written for other libraries."""

    saved: dict[str, str]
    """Folder in the run -> the class of transformers that loads it."""
