"""Verdict on a claim: it holds, it fails, or the sample is too small to decide."""

from dataclasses import dataclass
from typing import Literal

from preflab.maths.statistics import Estimate

Outcome = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """A claim, and the estimate that decides it."""

    claim: str
    outcome: Outcome
    estimate: Estimate
    threshold: float
    """In the unit of the estimate."""
    unit: str
    """Such as "nats", "points" (of shares, in [0, 1]) or "Elo"."""
    source: str = ""
    """Paper that makes the claim; empty where it is ours."""


def claim_above(claim: str, estimate: Estimate, threshold: float, *, unit: str, source: str = "") -> Verdict:
    """The claim that a quantity lies above ``threshold``: decided only when the whole interval does."""
    outcome: Outcome = "undecided"
    if estimate.low > threshold:
        outcome = "holds"
    elif estimate.high < threshold:
        outcome = "fails"
    return Verdict(claim, outcome, estimate, threshold, unit, source)
