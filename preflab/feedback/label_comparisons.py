"""Labels of a judge in place of the labels that comparisons came with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import mean

import numpy as np

from preflab.data.comparison import Comparison
from preflab.data.split import prompt_key
from preflab.interfaces import Labeller, callable_name, labels_of
from preflab.maths.bootstrap import win_rate
from preflab.maths.statistics import Estimate

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
    agreement: Estimate | None
    """Share of the pairs with a winner before on which the judge names the same one, where it ties half; resampled by
    prompt. None where no such pair was labelled."""
    changed: Estimate | None
    """Share of the labelled pairs of which the judge says something else than was said before: the other winner, a tie
    in place of one, or one in place of a tie; resampled by prompt. None where no pair was labelled."""


def pairs_of(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """What a judge is asked about comparisons: every two different texts of each, in order, without any label."""
    return [query.pair for k, comparison in enumerate(comparisons) for query in _queries(k, comparison)]


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
    labels = labels_of(labeller, [query.pair for query in queries])
    answers = zip(queries, labels.prob_first.tolist(), strict=True)
    answered = [(query, prob) for i, (query, prob) in enumerate(answers) if i not in labels.abstained]
    probs: list[dict[tuple[str, str], float]] = [{} for _ in comparisons]
    for query, prob in answered:
        first, second = query.pair.replies
        probs[query.comparison] |= {(first, second): prob, (second, first): 1 - prob}
    left_out: Counter[str] = Counter()
    labelled: list[Comparison] = []
    replies_left_out = 0
    for comparison, pair_probs in zip(comparisons, probs, strict=True):
        if not pair_probs:
            left_out[SAME_TEXT if len(set(comparison.replies)) == 1 else NO_LABEL] += 1
            continue
        labelled.append(_relabel(comparison, pair_probs, callable_name(labeller), tolerance))
        replies_left_out += len(comparison.replies) - len(labelled[-1].replies)
    agreement, changed = _beside_before(answered, tolerance)
    return LabelledComparisons(
        comparisons=labelled,
        pairs=len(queries),
        abstained=dict(labels.reasons()),
        left_out=dict(left_out),
        replies_left_out=replies_left_out,
        agreement=agreement,
        changed=changed,
    )


@dataclass(frozen=True, slots=True)
class _Query:
    """Two replies that are judged."""

    comparison: int
    """Index of the comparison they are of."""
    pair: Comparison
    """Without any label."""
    prob_before: float
    """What the comparison says of the pair so far."""


def _queries(index: int, comparison: Comparison) -> Iterable[_Query]:
    """Every two different texts of a comparison."""
    positions = [comparison.replies.index(text) for text in dict.fromkeys(comparison.replies)]
    for i, j in combinations(positions, 2):
        yield _Query(index, _keep(comparison, (i, j)), _prob_before(comparison, i, j))


def _prob_before(comparison: Comparison, i: int, j: int) -> float:
    """The probability that reply ``i`` is better than reply ``j``, by the label that the comparison has."""
    if comparison.prob_first is not None:
        return comparison.prob_first
    first, second = comparison.ranks[i], comparison.ranks[j]
    return 0.5 if first == second else float(first < second)


def _beside_before(
    answered: Sequence[tuple[_Query, float]], tolerance: float
) -> tuple[Estimate | None, Estimate | None]:
    """Agreement with the labels before, and the share of labels that changed; see `LabelledComparisons`."""
    if not answered:
        return None, None
    before = np.array([_side(query.prob_before, tolerance) for query, _ in answered])
    after = np.array([_side(prob, tolerance) for _, prob in answered])
    prompts = np.array([prompt_key(query.pair.prompt) for query, _ in answered])
    changed = win_rate(before != after, np.full(len(before), 0.5), prompts)
    is_clear = before != 0
    if not is_clear.any():
        return None, changed
    same = (before * after)[is_clear]  # 1 the same winner, 0 a tie, -1 the other winner
    return win_rate(same, np.zeros(len(same)), prompts[is_clear]), changed


def _side(prob_first: float, tolerance: float) -> int:
    """1 where the first of two is better, -1 where the second is, 0 where they tie."""
    gap = 2 * prob_first - 1
    return 0 if abs(gap) <= tolerance else 1 if gap > 0 else -1


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
