"""Claims on horizons, on numbers by hand."""

import numpy as np

from preflab.recipes.christiano2017.horizon.claims import compare, verdicts
from preflab.recipes.christiano2017.horizon.results import AgentResult


def test_claims_are_decided_by_whole_intervals() -> None:
    before = np.full(5, 22.0)
    after = {"varying": np.full(5, 500.0), "fixed": np.full(5, 30.0), "minus": np.full(5, 9.0)}
    assert [v.outcome for v in verdicts(before, after, 500)] == ["holds"] * 4
    after = {"varying": np.full(5, 100.0), "fixed": np.full(5, 90.0), "minus": np.full(5, 23.0)}
    assert [v.outcome for v in verdicts(before, after, 500)] == ["fails"] * 4
    after["varying"] = np.array([100.0, 500.0, 500.0, 500.0, 500.0])
    assert verdicts(before, after, 500)[0].outcome == "undecided"


def agent(arm: str, untrained: float, trained: float, falls: int) -> AgentResult:
    curve = ((0, untrained), (128, trained))
    return AgentResult(arm=arm, curve=curve, untrained=untrained, trained=trained, falls=falls)


def test_arms_are_compared_over_seeds() -> None:
    results = {
        "varying": [agent("varying", 20.0, 400.0, 5), agent("varying", 24.0, 500.0, 6)],
        "fixed": [agent("fixed", 20.0, 18.0, 70), agent("fixed", 24.0, 22.0, 80)],
        "minus": [agent("minus", 20.0, 9.0, 100), agent("minus", 24.0, 9.0, 100)],
    }
    comparison = compare(results, 500)
    assert (comparison.untrained.value, comparison.trained["varying"].value) == (22.0, 450.0)
    assert comparison.steps == (0, 128)
    assert [mean.value for mean in comparison.curves["fixed"]] == [22.0, 20.0]
    assert comparison.falls == {"varying": 11, "fixed": 150, "minus": 200}
    assert len(comparison.verdicts) == 4
