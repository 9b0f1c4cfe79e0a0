"""How good a preference model is: accuracy, calibration, by category, and against simple baselines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from preflab.data.comparison import Comparison
from preflab.errors import DataError
from preflab.evals.metrics.baselines import BaselineResult, pair_groups
from preflab.maths.bootstrap import clustered_bootstrap, paired_difference
from preflab.maths.statistics import Bin, Estimate, expected_calibration_error, reliability


@dataclass(frozen=True)
class PairScores:
    """Clearly labelled pairs, oriented as judged: gap > 0 means the scores agree with the judge."""

    gap: Float[np.ndarray, " pair"]
    """Score of the reply judged better minus the other's, nats."""
    groups: Float[np.ndarray, " pair"] | Any
    """Number of the prompt each pair belongs to."""
    categories: list[str]

    @property
    def correct(self) -> Float[np.ndarray, " pair"]:
        """1 right, 0 wrong, 0.5 undecided."""
        return np.where(self.gap == 0, 0.5, (self.gap > 0).astype(float))


def pair_scores(scores: Sequence[Sequence[float]], comparisons: Sequence[Comparison]) -> PairScores:
    """Line up scores (one list a comparison, one number a reply) with the judged pairs.

    Raises:
        DataError: no pair has a clear label.
    """
    gaps, categories = [], []
    for reply_scores, comparison in zip(scores, comparisons, strict=True):
        for pair in comparison.pairs(ties=False):
            gap = float(reply_scores[pair.a]) - float(reply_scores[pair.b])
            gaps.append(gap if pair.prob_a > 0.5 else -gap)
            categories.append(comparison.category)
    if not gaps:
        raise DataError("no pair with a clear label to evaluate on")
    return PairScores(np.array(gaps), pair_groups(comparisons), categories)


@dataclass(frozen=True)
class PreferenceReport:
    """One preference model on one held-out set."""

    accuracy: Estimate
    by_category: dict[str, Estimate]
    calibration: list[Bin]
    """Predicted probability that the first reply is better against how often it was."""
    calibration_error: float
    loss: float
    """Nats per pair; ln 2 = 0.693 knows nothing."""
    baselines: dict[str, Estimate]
    lead: dict[str, Estimate]
    """Accuracy minus each baseline's, pair by pair."""

    def to_json(self) -> dict[str, Any]:
        """For the results file."""
        return {**vars(self), "calibration": [bin_._asdict() for bin_ in self.calibration]}


def evaluate_preferences(
    scores: Sequence[Sequence[float]],
    comparisons: Sequence[Comparison],
    baselines: Sequence[BaselineResult] = (),
    *,
    bins: int = 10,
) -> PreferenceReport:
    """Accuracy with an interval clustered by prompt, calibration, and the lead over each baseline.

    Calibration is judged with the sides in a fixed pseudo-random order, since a predictor that is always
    asked about the winner has no second side to be calibrated on.
    """
    pairs = pair_scores(scores, comparisons)
    flip = np.random.default_rng(0).random(len(pairs.gap)) < 0.5
    prob = 1 / (1 + np.exp(-np.clip(np.where(flip, -pairs.gap, pairs.gap), -500, 500)))
    outcome = (~flip).astype(float)
    categories = np.array(pairs.categories)
    names = sorted(set(pairs.categories) - {""})
    return PreferenceReport(
        accuracy=clustered_bootstrap(pairs.correct, pairs.groups),
        by_category={
            name: clustered_bootstrap(pairs.correct[categories == name], pairs.groups[categories == name])
            for name in names
        },
        calibration=reliability(prob, outcome, bins=bins),
        calibration_error=expected_calibration_error(prob, outcome, bins=bins),
        loss=float(np.logaddexp(0, -pairs.gap).mean()),
        baselines={b.name: clustered_bootstrap(b.correct, b.groups) for b in baselines},
        lead={b.name: paired_difference(pairs.correct, b.correct, pairs.groups) for b in baselines},
    )
