"""How the replies of an evaluation look from outside: length, variety, likeness to one another.

Any suite whose policy speaks has them beside its own measures. Distinct-n and self-BLEU belong to a set, and resampling
with repetition would make copies, so their intervals are from the delete-a-group jackknife (Efron and Tibshirani 1993,
sec. 11.5; Kott 2001): the statistic without each tenth of the groups in turn. Both depend on how many replies there
are and how long: compare models on the same items.
"""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped, unused-ignore]

from preflab.evals.metrics.bleu import self_bleu
from preflab.evals.metrics.reply_stats import distinct_n
from preflab.maths.statistics import Estimate, mean_with_interval, number_clusters

BLOCKS = 10
MOST = 400
"""Replies that self-BLEU looks at, evenly spaced in the order of the items; it takes a second for that many."""


def reply_estimates(texts: Sequence[str], groups: Sequence[Hashable]) -> dict[str, Estimate]:
    """Facts about replies, by name; none for fewer than two.

    Args:
        texts   [reply]
        groups  [reply]  what replies share (the prompt).
    """
    if len(texts) < 2:
        return {}
    estimates = {
        "reply length": mean_with_interval(np.array([float(len(text.split())) for text in texts]), list(groups))
    }
    for n in (1, 2, 3):
        estimates[f"distinct-{n}"] = jackknife(lambda sample, n=n: distinct_n(sample, n), texts, groups)  # type: ignore[misc]
    chosen = [round(k) for k in np.linspace(0, len(texts) - 1, min(MOST, len(texts)))]
    estimates["self-BLEU"] = jackknife(self_bleu, [texts[i] for i in chosen], [groups[i] for i in chosen])
    return estimates


def jackknife(
    statistic: Callable[[Sequence[str]], float], texts: Sequence[str], groups: Sequence[Hashable]
) -> Estimate:
    """A statistic of a set of texts, with the interval of the delete-a-group jackknife.

    ``value +- t * sqrt((B - 1) / B * sum over blocks of (without it - their mean)^2)`` with B - 1 degrees of freedom
    and B the number of blocks, into which whole groups are dealt in turn. Unbounded with fewer than three groups.
    """
    index, count = number_clusters(list(groups), len(texts))
    value, blocks = statistic(texts), min(BLOCKS, count)
    if blocks < 3:
        return Estimate(value, -math.inf, math.inf, len(texts), count)
    block = index % blocks
    without = [statistic([text for text, b in zip(texts, block, strict=True) if b != k]) for k in range(blocks)]
    spread = math.sqrt((blocks - 1) / blocks * float(np.sum((np.array(without) - np.mean(without)) ** 2)))
    reach = float(stdtrit(blocks - 1, 0.975)) * spread
    return Estimate(value, value - reach, value + reach, len(texts), count)
