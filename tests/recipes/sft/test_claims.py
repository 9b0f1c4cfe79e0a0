"""The verdict of ``sft`` from estimates by hand; the registry of sources knows its words."""

import pytest

from preflab.maths.statistics import Estimate
from preflab.recipes.sft.claims import STIENNON, verdicts
from preflab.runner.sources import claim_of


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.01, 0.3, "holds"),
        (0.0, 0.3, "undecided"),
        (-0.1, 0.1, "undecided"),
        (-0.3, 0.0, "undecided"),
        (-0.3, -0.01, "fails"),
    ],
)
def test_replies_are_more_probable_where_the_interval_of_the_gain_lies_above_nothing(
    low: float, high: float, outcome: str
) -> None:
    (verdict,) = verdicts(Estimate((low + high) / 2, low, high, 100))
    assert (verdict.outcome, verdict.threshold, verdict.unit, verdict.source) == (outcome, 0.0, "nats", STIENNON)


def test_the_registry_of_sources_knows_the_claim() -> None:
    (verdict,) = verdicts(Estimate(0.2, 0.1, 0.3, 100))
    assert claim_of("sft", verdict.claim, "sft", {}) is not None
