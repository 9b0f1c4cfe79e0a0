"""What the arms of `christiano2017_mujoco` say of the paper's claims."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from preflab.evals.verdict import Verdict, at_least
from preflab.maths.statistics import mean_with_interval
from preflab.recipes.christiano2017_mujoco_arms import TRUE

SOURCE = "Christiano et al. 2017, sec. 3"
NEAR = 0.8
"""Share of the way from the untrained agent to the one on the true reward that counts as nearly matching it."""
AGREES = 0.7
"""Rank correlation of true and learned returns in a run that succeeds."""


def verdicts(
    returns: Mapping[str, np.ndarray], untrained: np.ndarray, correlations: Mapping[str, np.ndarray], middle: str
) -> list[Verdict]:
    """Those claims whose arms were run; differences are paired by seed.

    Args:
        returns       arm -> [seed], true return at the end.
        untrained     [seed], true return of the policy before it learned.
        correlations  arm -> [seed], of true and learned returns; nan where there is none.
        middle        the arm of the budget that ablations share.
    """
    found: list[Verdict] = []
    budgets = sorted((arm for arm in returns if arm.startswith("labels")), key=lambda arm: int(arm[6:]))
    for few, many in pairwise(budgets):
        found.append(_gain(f"{many[6:]} labels give at least the return of {few[6:]}", returns[many] - returns[few]))
    if middle in returns and TRUE in returns:
        way = float((returns[TRUE] - untrained).mean())
        share = (returns[middle] - untrained) / way if way > 0 else np.full(len(untrained), np.nan)
        if np.isfinite(share).all():
            words = f"{middle[6:]} labels reach {100 * NEAR:.0f} % of what the true reward gains"
            found.append(at_least(words, mean_with_interval(share), NEAR, unit="share", source=SOURCE))
    for arm, words in (
        ("offline", "labels asked while the agent learns beat the same number asked before"),
        ("steps", "clips beat single steps"),
        ("target", "comparisons beat fitting the oracle's returns"),
        ("random", "disputed pairs beat random ones (the paper: in some tasks)"),
        ("one", "an ensemble with disputed pairs beats one predictor with random ones"),
        ("unregularised", "adaptive L2 beats none"),
    ):
        if arm in returns and middle in returns:
            found.append(_gain(words, returns[middle] - returns[arm]))
    own = correlations.get(middle)
    if own is not None and np.isfinite(own).all():
        words = f"true and learned returns of episodes correlate above {AGREES} in rank (our reading of success)"
        found.append(at_least(words, mean_with_interval(own), AGREES, unit="rank correlation", source=SOURCE))
    return found


def _gain(words: str, gain: np.ndarray) -> Verdict:
    return at_least(words, mean_with_interval(gain), 0.0, unit="true return", source=SOURCE)
