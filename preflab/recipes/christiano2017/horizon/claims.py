"""Verdicts on the claims of `christiano2017_horizon`: what episodes that end early tell an agent."""

from collections.abc import Mapping, Sequence

import numpy as np

from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.recipes.christiano2017.horizon.config import SOURCE
from preflab.recipes.christiano2017.horizon.results import AgentResult, Comparison
from preflab.reporting.verdicts import Verdict, claim_above


def compare(results: Mapping[str, Sequence[AgentResult]], horizon: int) -> Comparison:
    """Arms over seeds, and the verdicts on the claims.

    Args:
        results  arm -> [seed]; the arms are varying, fixed and minus.
        horizon  steps of the longest episode.
    """
    after = {arm: np.array([seed.trained for seed in seeds]) for arm, seeds in results.items()}
    before = np.array([seed.untrained for seed in results["fixed"]])
    steps = tuple(step for step, _ in results["fixed"][0].curve)
    curves = {
        arm: tuple(mean_with_interval(np.array([seed.curve[k][1] for seed in seeds])) for k in range(len(steps)))
        for arm, seeds in results.items()
    }
    return Comparison(
        verdicts=tuple(verdicts(before, after, horizon)),
        untrained=mean_with_interval(before),
        trained={arm: mean_with_interval(balanced) for arm, balanced in after.items()},
        steps=steps,
        curves=curves,
        falls={arm: sum(seed.falls for seed in seeds) for arm, seeds in results.items()},
    )


def verdicts(before: np.ndarray, after: Mapping[str, np.ndarray], horizon: int) -> list[Verdict]:
    """The four claims; differences are paired by seed.

    Args:
        before   [seed], steps until the pole falls of the untrained policy.
        after    arm -> [seed], after training.
        horizon  steps of the longest episode.
    """
    high, far, little = 0.8 * horizon, 0.6 * horizon, 0.1 * horizon
    claims: list[tuple[str, Estimate, float]] = [
        (
            f"paid +1 for every step, with episodes that end at a fall, it balances for over {high:g} steps",
            mean_with_interval(after["varying"]),
            high,
        ),
        (
            f"... over {far:g} steps longer than with episodes of one length",
            mean_with_interval(after["varying"] - after["fixed"]),
            far,
        ),
        (
            f"with episodes of one length it gains less than {little:g} steps: untrained minus trained",
            mean_with_interval(before - after["fixed"]),
            -little,
        ),
        (
            "paid -1 for every step, with episodes that end at a fall, it learns to fall: untrained minus trained",
            mean_with_interval(before - after["minus"]),
            0.0,
        ),
    ]
    return [
        claim_above(claim, estimate, threshold, unit="steps", source=SOURCE) for claim, estimate, threshold in claims
    ]
