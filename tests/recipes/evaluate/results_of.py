"""A result of ``evaluate`` by hand."""

from collections.abc import Sequence

from preflab.evals.core.runner import MeasuredValue
from preflab.maths.statistics import Estimate
from preflab.recipes.evaluate.results import SuiteInputs, SuiteResult


def measured(name: str, value: float | None, *, column: str = "", of: str = "") -> MeasuredValue:
    """A share of ten items; ``of`` is the value of the column."""
    estimate = None if value is None else Estimate(value, value - 0.1, value + 0.1, 10)
    return MeasuredValue(
        name=name, unit="share", better="higher", description="How.", estimate=estimate, column=column, value=of
    )


def suite_result(measures: Sequence[MeasuredValue], *, failed: int = 0) -> SuiteResult:
    """MMLU, ten items of twelve."""
    return SuiteResult(
        suite="mmlu",
        title="MMLU",
        variant="chat",
        items=10,
        groups=10,
        scored=10 - failed,
        failed={"the model said nothing": failed} if failed else {},
        shortened_prompts=0,
        unfinished_replies=3,
        measures=tuple(measures),
        inputs=SuiteInputs(data="d1", limit=10, responders={"policy": "tiny"}, best_of=1),
        sources=("mmlu_test.jsonl",),
        available=12,
        refused={"choices are missing": 2},
        first_refused={"choices are missing": "row 3"},
        cached_responses=0,
        measured_tokens=100,
    )
