"""What judges pairs without understanding them: the accuracy a preference model must beat.

Each baseline learns on one part and is measured on another. Results are per pair, in the order of
``for comparison in held_out: for pair in comparison.pairs(ties=False)``, so that a preference model can be
compared with them pair by pair; ``pair_groups`` gives the clusters for an interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from preflab.data.comparison import Comparison
from preflab.data.split import opening_groups
from preflab.errors import DataError

_REGULARISATIONS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Values of scikit-learn's C to choose from; small ones hold the weights near zero."""
_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BaselineResult:
    """How one baseline fared on each pair."""

    name: str
    correct: Float[np.ndarray, " pair"]
    """1 where it preferred the reply that was judged better, 0 where not, 0.5 where it preferred neither."""
    groups: Int[np.ndarray, " pair"]
    """Number of the prompt, as in ``pair_groups``."""
    note: str
    """What it learned, in a line."""

    @property
    def accuracy(self) -> float:
        """Mean over pairs."""
        return float(self.correct.mean())


def pair_groups(comparisons: Sequence[Comparison]) -> Int[np.ndarray, " pair"]:
    """For each decided pair the number of its prompt; prompts that a split keeps together share one."""
    prompts = opening_groups([comparison.prompt for comparison in comparisons])
    groups = [g for g, comparison in zip(prompts, comparisons, strict=True) for _ in comparison.pairs(ties=False)]
    return np.array(groups, dtype=np.int64)


def length_baseline(train: Sequence[Comparison], held_out: Sequence[Comparison]) -> BaselineResult:
    """Always prefer the longer reply, or always the shorter, whichever is right more often on ``train``.

    Raises:
        DataError: one of the parts has no decided pair.
    """
    labels, truth = _labels(train, "train"), _labels(held_out, "held-out")
    longer_is_better = np.sign(_length_gaps(train)) * (2 * labels - 1)
    share = float((longer_is_better.mean() + 1) / 2)
    sign = 1 if share >= 0.5 else -1
    note = f"the {'longer' if sign > 0 else 'shorter'} reply wins; the longer one did in {share:.1%} of training pairs"
    return _result("length", held_out, truth, sign * _length_gaps(held_out).astype(float), note)


def bag_of_words_baseline(train: Sequence[Comparison], held_out: Sequence[Comparison]) -> BaselineResult:
    """Logistic regression on which words and word pairs one reply has and the other lacks.

    Every pair is shown both ways round and there is no intercept, so the order of the replies says nothing. How
    strongly weights are held down is chosen by cross-validation on ``train`` that keeps a prompt in one fold.

    Raises:
        DataError: one of the parts has no decided pair.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    labels, truth = _labels(train, "train"), _labels(held_out, "held-out")
    first, second = _sides(train)
    if not any(text.strip() for text in first + second):
        return _result("bag of words", held_out, truth, np.zeros(len(truth)), "no words to learn from")
    vectorizer = CountVectorizer(ngram_range=(1, 2), binary=True, dtype=np.float64, token_pattern=r"(?u)\w+|[^\w\s]")
    vectorizer.fit(first + second)

    def features(sides: tuple[list[str], list[str]]) -> Any:
        """[pair, feature] 1 for what only the first reply has, -1 for what only the second has."""
        return vectorizer.transform(sides[0]) - vectorizer.transform(sides[1])

    train_features = features((first, second))
    with threadpool_limits(1):  # the vectors are short: more threads than one only wait for each other
        regularisation = _choose_regularisation(train_features, labels, pair_groups(train))
        model = _fit(train_features, labels, regularisation)
    margins = model.decision_function(features(_sides(held_out)))
    note = f"{len(vectorizer.vocabulary_)} words and word pairs, C = {regularisation:g} by cross-validation"
    return _result("bag of words", held_out, truth, margins, note)


def _choose_regularisation(features: Any, labels: Int[np.ndarray, " pair"], groups: Int[np.ndarray, " pair"]) -> float:
    """The C with the least log-loss on prompts it was not fitted to."""
    from sklearn.model_selection import GroupKFold

    folds = min(_FOLDS, len(np.unique(groups)))
    if folds < 2:
        return _REGULARISATIONS[0]
    losses = dict.fromkeys(_REGULARISATIONS, 0.0)
    for fit, check in GroupKFold(folds).split(features, labels, groups):
        for regularisation in losses:
            margins = _fit(features[fit], labels[fit], regularisation).decision_function(features[check])
            losses[regularisation] += float(np.logaddexp(0.0, (1 - 2 * labels[check]) * margins).sum())
    return min(losses, key=lambda regularisation: losses[regularisation])


def _fit(features: Any, labels: Int[np.ndarray, " pair"], regularisation: float) -> Any:
    """A logistic regression that has seen every pair in both orders."""
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=regularisation, fit_intercept=False, solver="liblinear", max_iter=1_000)
    return model.fit(vstack([features, -features]), np.concatenate([labels, 1 - labels]))


def _sides(comparisons: Sequence[Comparison]) -> tuple[list[str], list[str]]:
    """The first and the second replies of all decided pairs."""
    pairs = [(comparison.replies, pair) for comparison in comparisons for pair in comparison.pairs(ties=False)]
    return [replies[pair.a] for replies, pair in pairs], [replies[pair.b] for replies, pair in pairs]


def _length_gaps(comparisons: Sequence[Comparison]) -> Int[np.ndarray, " pair"]:
    """Characters that the first reply has more than the second."""
    return np.array([len(a) - len(b) for a, b in zip(*_sides(comparisons), strict=True)], dtype=np.int64)


def _labels(comparisons: Sequence[Comparison], part: str) -> Int[np.ndarray, " pair"]:
    """1 where the first reply was judged better, otherwise 0."""
    labels = [pair.prob_a > 0.5 for comparison in comparisons for pair in comparison.pairs(ties=False)]
    if not labels:
        raise DataError(f"the {part} part has no pair in which one reply was judged better")
    return np.array(labels, dtype=np.int64)


def _result(
    name: str,
    held_out: Sequence[Comparison],
    truth: Int[np.ndarray, " pair"],
    margins: Float[np.ndarray, " pair"],
    note: str,
) -> BaselineResult:
    """Margins in favour of the first reply, held against the labels."""
    correct = (np.sign(margins) * (2 * truth - 1) + 1) / 2
    return BaselineResult(name=name, correct=correct, groups=pair_groups(held_out), note=note)
