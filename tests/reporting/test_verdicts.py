"""A claim is decided only when the whole interval lies on one side."""

import pytest

from preflab.maths.statistics import Estimate
from preflab.reporting.verdicts import claim_above


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.51, 0.6, "holds"), (0.4, 0.49, "fails"), (0.45, 0.55, "undecided"), (0.5, 0.6, "undecided")],
)
def test_the_three_outcomes(low: float, high: float, outcome: str) -> None:
    verdict = claim_above("better than chance", Estimate((low + high) / 2, low, high, 100), 0.5, unit="share")
    assert verdict.outcome == outcome
