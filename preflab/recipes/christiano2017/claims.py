"""Verdicts on the claims of Christiano et al. 2017, of the arms that were run."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from preflab.maths.statistics import mean_with_interval, ratio_of_means
from preflab.recipes.christiano2017.arms import TRUE, is_budget
from preflab.recipes.christiano2017.curves import Curve
from preflab.recipes.christiano2017.results import ArmResult
from preflab.reporting.verdicts import Verdict, claim_above

SOURCE = "sec. 3"
NEAR = 0.8
"""Share of the way from the untrained agent to the one on the true reward that counts as nearly matching it."""
AGREES = 0.7
"""Rank correlation of true and learned returns in a run that succeeds."""
CENTRED, SPREAD = 0.05, 0.1
"""How far mean and deviation of normalised rewards may be from 0 and 1, in deviations."""

_AGAINST = {
    "offline": "labels asked while the agent learns beat the same number asked before",
    "steps": "clips beat single steps",
    "target": "comparisons beat fitting the oracle's returns",
    "random": "disputed pairs beat random ones (the paper: in some tasks)",
    "one": "an ensemble with disputed pairs beats one predictor with random ones",
    "weights_only": "L2 on returns too beats the paper's on weights alone (ours)",
    "unregularised": "L2 beats none",
}
"""Arm -> what it would mean if it did worse than the arm ``labelsN`` of the same budget."""


def verdicts(
    returns: Mapping[str, np.ndarray],
    untrained: np.ndarray,
    results: Mapping[str, Sequence[ArmResult]],
    middle: str,
) -> list[Verdict]:
    """Those claims whose arms were run; differences are paired by seed.

    Args:
        returns    arm -> [seed], true return at the end.
        untrained  [seed], true return of the policy before it learned.
        results    arm -> [seed].
        middle     the arm of the budget that ablations share.
    """
    budgets = sorted((arm for arm in returns if is_budget(arm)), key=lambda arm: int(arm[6:]))
    claims = [
        _gain(f"{many[6:]} labels give at least the return of {few[6:]}", returns[many] - returns[few])
        for few, many in pairwise(budgets)
    ]
    if middle in returns and TRUE in returns:
        claims += _near(returns[middle], returns[TRUE], untrained, middle)
    for arm, claim in _AGAINST.items():
        if arm in returns and middle in returns:
            claims.append(_gain(claim, returns[middle] - returns[arm]))
    claims += _of_drift(results.get("offline", ()))
    claims += _of_noise(results.get("flips", ()), results.get("flips_trusted", ()))
    learned = results.get(middle, ())
    return claims + _of_correlation(learned) + _of_disagreement(learned) + _of_scale(learned)


def _gain(claim: str, gain: np.ndarray, unit: str = "true return", source: str = SOURCE) -> Verdict:
    """More than nothing, in the mean over seeds."""
    return claim_above(claim, mean_with_interval(gain), 0.0, unit=unit, source=source)


def _near(reached: np.ndarray, true: np.ndarray, untrained: np.ndarray, middle: str) -> list[Verdict]:
    """None where the true reward taught nothing."""
    if (true - untrained).mean() <= 0:
        return []
    claim = f"{middle[6:]} labels reach {100 * NEAR:.0f} % of what the true reward gains"
    share = ratio_of_means(reached - untrained, true - untrained)
    return [claim_above(claim, share, NEAR, unit="share", source=SOURCE)]


def _of_drift(offline: Sequence[ArmResult]) -> list[Verdict]:
    """Whether an agent on early labels alone learns what its reward likes and the true one does not."""
    if not offline:
        return []
    learned = np.array([_rise(result.learned_curve) for result in offline])
    true = np.array([_rise(result.curve) for result in offline])
    rises = "all labels asked before: the return handed over rises from the first part to the last"
    return [
        _gain(rises, learned, "handed", "sec. 3.3"),
        _gain("... while the true return does not: how far it falls", -true, source="sec. 3.3"),
    ]


def _rise(curve: Curve) -> float:
    """From the first part in which an episode ended to the last."""
    means = [mean for mean in curve if mean is not None]
    return means[-1] - means[0]


def _of_noise(flips: Sequence[ArmResult], flips_trusted: Sequence[ArmResult]) -> list[Verdict]:
    """What it is worth to know that a tenth of the answers are wrong."""
    with_lapse = _per_seed([result.held_out_accuracy for result in flips])
    without = _per_seed([result.held_out_accuracy for result in flips_trusted])
    if with_lapse is None or without is None:
        return []
    claim = "with a tenth of the answers wrong, a lapse rate of 0.1 predicts held-out answers better than none"
    return [_gain(claim, 100 * (with_lapse - without), "percentage points", "sec. 2.2.3")]


def _of_correlation(results: Sequence[ArmResult]) -> list[Verdict]:
    """Whether the learned reward orders episodes as the true one does."""
    correlations = _per_seed([result.rank_correlation for result in results])
    if correlations is None:
        return []
    claim = f"true and learned returns of episodes correlate above {AGREES} in rank (our reading of success)"
    return [claim_above(claim, mean_with_interval(correlations), AGREES, unit="rank correlation", source=SOURCE)]


def _of_disagreement(results: Sequence[ArmResult]) -> list[Verdict]:
    """Whether queries go to pairs that members disagree on, and settle them."""
    queried = _per_seed([result.disagreement_asked for result in results])
    candidates = _per_seed([result.disagreement_candidates for result in results])
    at_end = _per_seed([result.disagreement_at_end for result in results])
    claims = []
    if queried is not None and candidates is not None:
        claim = "pairs that are asked are more disputed than candidates are"
        claims.append(_gain(claim, queried - candidates, "variance", "sec. 2.2.4"))
    if queried is not None and at_end is not None:
        claim = "pairs are less disputed at the end than when they were asked"
        claims.append(_gain(claim, queried - at_end, "variance", "sec. 2.2.4"))
    return claims


def _of_scale(results: Sequence[ArmResult]) -> list[Verdict]:
    """Whether the rewards that the agent was given had the mean and deviation they should."""
    means = _per_seed([result.mean_reward for result in results])
    deviations = _per_seed([result.std_reward for result in results])
    scale = _per_seed([result.target_std for result in results])
    if means is None or deviations is None or scale is None:
        return []
    mean_claim = f"rewards handed over in the second half have a mean within {CENTRED:g} of 0: what is left of that"
    std_claim = f"... and a deviation within {SPREAD:g} of what was asked for: what is left of that"
    return [
        _gain(mean_claim, CENTRED - np.abs(means / scale), "deviations", "appendix A"),
        _gain(std_claim, SPREAD - np.abs(deviations / scale - 1), "deviations", "appendix A"),
    ]


def _per_seed(numbers: Sequence[float | None]) -> np.ndarray | None:
    """A number of every seed, where every seed has it."""
    return np.array(numbers, dtype=float) if numbers and None not in numbers else None
