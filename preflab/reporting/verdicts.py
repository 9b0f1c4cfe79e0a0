"""What a run says of a claim: it holds, it fails, or the sample is too small to tell."""

from dataclasses import dataclass
from typing import Literal

from preflab.maths.statistics import Estimate

Outcome = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """One claim, judged by one number with an interval."""

    claim: str
    outcome: Outcome
    estimate: Estimate
    threshold: float
    unit: str
    source: str = ""


def claim_above(claim: str, estimate: Estimate, threshold: float, *, unit: str, source: str = "") -> Verdict:
    """The claim that a quantity lies above ``threshold``: decided only when the whole interval does."""
    outcome: Outcome = "undecided"
    if estimate.low > threshold:
        outcome = "holds"
    elif estimate.high < threshold:
        outcome = "fails"
    return Verdict(claim, outcome, estimate, threshold, unit, source)
