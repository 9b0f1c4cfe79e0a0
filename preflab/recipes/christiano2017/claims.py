"""What arms that were run say of the claims of Christiano et al. 2017."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from preflab.maths.statistics import mean_with_interval, ratio_of_means
from preflab.recipes.christiano2017.arms import TRUE, is_budget
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


def verdicts(
    returns: Mapping[str, np.ndarray],
    untrained: np.ndarray,
    told: Mapping[str, Sequence[Mapping[str, Any]]],
    middle: str,
) -> list[Verdict]:
    """Those claims whose arms were run; differences are paired by seed.

    Args:
        returns    arm -> [seed], true return at the end.
        untrained  [seed], true return of the policy before it learned.
        told       arm -> [seed], what else each run told (see `christiano2017_experiment.train`).
        middle     the arm of the budget that ablations share.
    """
    found: list[Verdict] = []
    budgets = sorted((arm for arm in returns if is_budget(arm)), key=lambda arm: int(arm[6:]))
    for few, many in pairwise(budgets):
        found.append(_gain(f"{many[6:]} labels give at least the return of {few[6:]}", returns[many] - returns[few]))
    if middle in returns and TRUE in returns:
        found += _near(returns[middle], returns[TRUE], untrained, middle)
    for arm, words in _AGAINST.items():
        if arm in returns and middle in returns:
            found.append(_gain(words, returns[middle] - returns[arm]))
    found += _of_drift(told.get("offline", [])) + _of_noise(told) + _of_reward(told.get(middle, []))
    return found


def _gain(words: str, gain: np.ndarray, unit: str = "true return", source: str = SOURCE) -> Verdict:
    """More than nothing, in the mean over seeds."""
    return claim_above(words, mean_with_interval(gain), 0.0, unit=unit, source=source)


def _near(reached: np.ndarray, true: np.ndarray, untrained: np.ndarray, middle: str) -> list[Verdict]:
    """None where the true reward taught nothing."""
    if (true - untrained).mean() <= 0:
        return []
    words = f"{middle[6:]} labels reach {100 * NEAR:.0f} % of what the true reward gains"
    return [
        claim_above(words, ratio_of_means(reached - untrained, true - untrained), NEAR, unit="share", source=SOURCE)
    ]


def _of_drift(offline: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """Whether an agent on early labels alone learns what its reward likes and the true one does not."""
    if not offline:
        return []
    handed, true = (np.array([_rise(one[curve]) for one in offline]) for curve in ("handed", "curve"))
    rises = "all labels asked before: the return handed over rises from the first part to the last"
    return [
        _gain(rises, handed, "handed", "sec. 3.3"),
        _gain("... while the true return does not: how far it falls", -true, source="sec. 3.3"),
    ]


def _rise(curve: Sequence[float | None]) -> float:
    """From the first part in which an episode ended to the last."""
    told = [value for value in curve if value is not None]
    return told[-1] - told[0]


def _of_noise(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Verdict]:
    """What it is worth to know that a tenth of the answers are wrong."""
    if "flips" not in told or "flips_trusted" not in told:
        return []
    knows, trusts = (_all(told[arm], "held_out_accuracy") for arm in ("flips", "flips_trusted"))
    if knows is None or trusts is None:
        return []
    words = "with a tenth of the answers wrong, a lapse rate of 0.1 predicts held-out answers better than none"
    return [_gain(words, 100 * (knows - trusts), "percentage points", "sec. 2.2.3")]


def _of_reward(told: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """How the learned reward of one arm behaves."""
    found = []
    if (agrees := _all(told, "rank_correlation")) is not None:
        words = f"true and learned returns of episodes correlate above {AGREES} in rank (our reading of success)"
        found.append(claim_above(words, mean_with_interval(agrees), AGREES, unit="rank correlation", source=SOURCE))
    asked, others, now = (_all(told, f"disputed_{when}") for when in ("asked", "candidates", "now"))
    if asked is not None and others is not None:
        words = "pairs that are asked are more disputed than candidates are"
        found.append(_gain(words, asked - others, "variance", "sec. 2.2.4"))
    if asked is not None and now is not None:
        words = "pairs are less disputed at the end than when they were asked"
        found.append(_gain(words, asked - now, "variance", "sec. 2.2.4"))
    means, spreads, scale = (_all(told, what) for what in ("mean_reward", "std_reward", "target_std"))
    if means is not None and spreads is not None and scale is not None:
        words = f"rewards handed over in the second half have a mean within {CENTRED:g} of 0: what is left of that"
        found.append(_gain(words, CENTRED - np.abs(means / scale), "deviations", "appendix A"))
        words = f"... and a deviation within {SPREAD:g} of what was asked for: what is left of that"
        found.append(_gain(words, SPREAD - np.abs(spreads / scale - 1), "deviations", "appendix A"))
    return found


def _all(told: Sequence[Mapping[str, Any]], what: str) -> np.ndarray | None:
    """A number of every seed, where every seed has it."""
    values = [one.get(what) for one in told]
    return np.array(values, dtype=float) if values and None not in values else None
