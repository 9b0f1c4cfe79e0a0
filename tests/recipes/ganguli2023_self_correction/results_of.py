"""Results by hand."""

from preflab.maths.statistics import Estimate
from preflab.recipes.ganguli2023_self_correction.results import CheckpointResult, ConditionResult


def estimate(value: float) -> Estimate:
    """Of twelve items."""
    return Estimate(value, value - 0.1, value + 0.1, 12)


def checkpoint_result(checkpoint: str, size: float | None, steps: int | None, **gaps: float | None) -> CheckpointResult:
    """On admissions; ``gaps`` by condition, None where undefined."""
    conditions = {
        key: ConditionResult(
            items=12,
            scored=12,
            failed={},
            unfinished=1,
            generated_tokens=5,
            measures={"gap": None if gap is None else estimate(gap)},
        )
        for key, gap in gaps.items()
    }
    return CheckpointResult(
        checkpoint=checkpoint,
        name=checkpoint,
        size=size,
        steps=steps,
        benchmark="admissions",
        sampling=False,
        conditions=conditions,
        sampled_tokens=5,
        measured_tokens=10,
    )
