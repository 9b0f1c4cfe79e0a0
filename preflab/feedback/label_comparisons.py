"""Labels of a judge in place of the labels that comparisons came with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import mean

from preflab.data.comparison import Comparison
from preflab.interfaces import Labeller

SAME_TEXT = "all replies are the same text"
NO_LABEL = "no pair of its replies was labelled"
TOLERANCE = 1e-6
"""Win probabilities that differ by no more are a tie: means of the same numbers may differ in their last digits."""


@dataclass(frozen=True, slots=True)
class LabelledComparisons:
    """What a judge's labels come to."""

    comparisons: list[Comparison]
    """In the order they came, those that were left out apart."""
    pairs: int
    """Pairs of replies that were judged."""
    abstained: dict[str, int]
    """Reason -> pairs of them that the judge did not label."""
    left_out: dict[str, int]
    """Reason -> comparisons of which nothing could be said."""
    replies_left_out: int
    """Replies without a label, of comparisons that judged two others or more."""


def label_comparisons(
    comparisons: Sequence[Comparison], labeller: Labeller[Comparison], *, tolerance: float = TOLERANCE
) -> LabelledComparisons:
    """Comparisons with the labeller's labels; nothing of the labels before remains.

    All pairs of all comparisons go to the labeller in one batch, equal texts once. Two replies keep the probability
    as it is (``prob_first``). More are ranked by their mean probability to win over the others; a reply of which no
    pair was labelled is left out. ``strength`` becomes the difference of the mean win probabilities of the best
    and the next, in [0, 1]; the labeller stands as the annotator.

    Args:
        tolerance  win probabilities that differ by no more than this from the best of their rank are a tie.
    """
    queries = [query for k, comparison in enumerate(comparisons) for query in _queries(k, comparison)]
    labels = labeller([query.pair for query in queries])
    probs: list[dict[tuple[str, str], float]] = [{} for _ in comparisons]
    for i, (query, prob) in enumerate(zip(queries, labels.prob_first.tolist(), strict=True)):
        if i not in labels.abstained:
            first, second = query.pair.replies
            probs[query.comparison] |= {(first, second): prob, (second, first): 1 - prob}
    left_out: Counter[str] = Counter()
    labelled: list[Comparison] = []
    replies_left_out = 0
    for comparison, pair_probs in zip(comparisons, probs, strict=True):
        if not pair_probs:
            left_out[SAME_TEXT if len(set(comparison.replies)) == 1 else NO_LABEL] += 1
            continue
        labelled.append(_relabel(comparison, pair_probs, labeller.name, tolerance))
        replies_left_out += len(comparison.replies) - len(labelled[-1].replies)
    return LabelledComparisons(labelled, len(queries), dict(labels.reasons()), dict(left_out), replies_left_out)


@dataclass(frozen=True, slots=True)
class _Query:
    """Two replies that are judged."""

    comparison: int
    """Index of the comparison they are of."""
    pair: Comparison
    """Without any label."""


def _queries(index: int, comparison: Comparison) -> Iterable[_Query]:
    """Every two different texts of a comparison."""
    positions = [comparison.replies.index(text) for text in dict.fromkeys(comparison.replies)]
    for i, j in combinations(positions, 2):
        yield _Query(index, _keep(comparison, (i, j)))


def _keep(comparison: Comparison, positions: Sequence[int]) -> Comparison:
    """Some replies of a comparison, without a label."""
    policies = comparison.provenance.policies
    return replace(
        comparison,
        replies=tuple(comparison.replies[k] for k in positions),
        ranks=(0,) * len(positions),
        prob_first=None,
        strength=None,
        why={},
        provenance=replace(comparison.provenance, policies=tuple(policies[k] for k in positions) if policies else ()),
    )


def _relabel(
    comparison: Comparison, pair_probs: dict[tuple[str, str], float], annotator: str, tolerance: float
) -> Comparison:
    """A comparison of the replies that have a label, ranked by it.

    Args:
        pair_probs  (text, other text) -> probability that the text is the better one; not empty.
    """
    texts = {text for text, _ in pair_probs}
    judged = _keep(comparison, [k for k, reply in enumerate(comparison.replies) if reply in texts])
    win_probs = {text: mean(prob for (winner, _), prob in pair_probs.items() if winner == text) for text in texts}
    ranks = ranks_of([win_probs[reply] for reply in judged.replies], tolerance)
    best, runner_up = sorted((win_probs[reply] for reply in judged.replies), reverse=True)[:2]
    return replace(
        judged,
        ranks=ranks,
        prob_first=pair_probs[judged.replies[0], judged.replies[1]] if len(judged.replies) == 2 else None,
        strength=best - runner_up,
        provenance=replace(judged.provenance, annotator=annotator),
    )


def ranks_of(win_probs: Sequence[float], tolerance: float = TOLERANCE) -> tuple[int, ...]:
    """Ranks from 0 (best), by win probability; each rank begins at the best that is no tie with the rank before."""
    leaders: list[float] = []
    ranks = [0] * len(win_probs)
    for k in sorted(range(len(win_probs)), key=lambda k: -win_probs[k]):
        if not leaders or leaders[-1] - win_probs[k] > tolerance:
            leaders.append(win_probs[k])
        ranks[k] = len(leaders) - 1
    return tuple(ranks)
