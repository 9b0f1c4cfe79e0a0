"""Turning scores into choices, and choices back into gradients.

Everything here is a pure function of tensors: no models, no tokens, no files.
Scores are in nats. One nat more than the rival means being chosen at odds e:1.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from preflab.errors import ConfigError, DataError

MOST_TIED = 8
"""Largest group of equal ranks that `plackett_luce_loss` takes: its work doubles with every tied option."""


def preference_loss(
    score_a: Float[Tensor, " pair"],
    score_b: Float[Tensor, " pair"],
    prob_a: Float[Tensor, " pair"],
    *,
    margin: float | Float[Tensor, " pair"] = 0.0,
    lapse: float = 0.0,
) -> Float[Tensor, " pair"]:
    """Cross-entropy between a labeller's choices and the choices the scores predict.

    ``loss = -prob_a * log P(gap - margin) - (1 - prob_a) * log P(-gap - margin)``
    with ``gap = score_a - score_b`` and ``P(x) = (1 - lapse) * sigmoid(x) + lapse / 2``.

    Without margin and lapse this is the Bradley-Terry loss of Stiennon et al. 2020 (sec. 3.4) and of Bai et al.
    2022 (HH), ``log(1 + exp(score_worse - score_better))``. A labeller who answers at random a fraction
    ``lapse`` of the time is Christiano et al. 2017 (sec. 2.2.3, lapse 0.1). A margin asks the better reply to
    lead by that much before its loss falls below ln 2.

    Args:
        score_a  [pair]            nats. Only the difference from ``score_b`` matters.
        score_b  [pair]            nats.
        prob_a   [pair]            probability in [0, 1] that ``a`` is the better one: 1 or 0 for a human
                                   choice, 0.5 for a tie, anything between for a soft AI label.
        margin   scalar or [pair]  nats, at least 0, taken off the gap in the direction of the label.
        lapse    scalar            probability in [0, 1).

    Returns:
        loss     [pair]            nats per comparison, not yet averaged. A scorer that knows nothing pays
                                   ln 2 = 0.693 without margin; the least anyone can pay is then the entropy
                                   of ``prob_a``, which is 0 only for hard labels.

    Raises:
        ConfigError: ``lapse`` is outside [0, 1), or a scalar ``margin`` is negative or not finite.
    """
    _check_lapse(lapse)
    _check_margin(margin)
    gap = score_a - score_b
    return -(prob_a * _log_prob(gap - margin, lapse) + (1 - prob_a) * _log_prob(-gap - margin, lapse))


def plackett_luce_loss(scores: Float[Tensor, " option"], ranks: Int[Tensor, " option"]) -> Float[Tensor, ""]:
    """How surprising a whole ranking is when each place goes to a remaining option with odds exp(score).

    ``loss = sum over places i of [log(sum over options j not yet placed of exp(score_j)) - score_i]``
    (Luce 1959, Plackett 1975). With two options it equals `preference_loss`.

    Ties: the loss is the mean over all orders of the tied options, as `preference_loss` with ``prob_a = 0.5`` is
    the mean over both orders of a pair. The mean runs over the subsets of a tie that may still be unplaced
    (2^m of them, not m! orders), exact for up to ``MOST_TIED`` = 8 options in one tie.

    Args:
        scores  [option]  nats. Only differences matter.
        ranks   [option]  0 is best; only the order matters; equal ranks are a tie. Read on the host.

    Returns:
        loss    scalar    nats per ranking. A scorer that knows nothing pays log K!.

    Raises:
        DataError: more than ``MOST_TIED`` options share a rank.
    """
    choices = list(_choices(ranks.tolist()))
    if not choices:
        return scores.sum()
    next_ = torch.zeros(len(choices), len(scores), dtype=scores.dtype)  # share of each option in the next place
    remaining = torch.zeros(len(choices), len(scores), dtype=torch.bool)
    for row, (tied, worse, _) in enumerate(choices):
        next_[row, tied] = 1.0 / len(tied)
        remaining[row, tied + worse] = True
    weights = torch.tensor([weight for _, _, weight in choices], dtype=scores.dtype, device=scores.device)
    # Subtract before the logarithm, row by row: scores far from 0 would cancel badly after it.
    behind = scores - (next_.to(scores.device) @ scores)[:, None]
    surprise = torch.where(remaining.to(scores.device), behind, -math.inf).logsumexp(dim=1)
    return (weights * surprise).sum()


def _choices(ranks: Sequence[int]) -> Iterator[tuple[list[int], list[int], float]]:
    """Each choice a ranking makes: options that may come next, options surely worse, probability of the choice."""
    for rank in sorted(set(ranks)):
        group = [i for i, r in enumerate(ranks) if r == rank]
        worse = [i for i, r in enumerate(ranks) if r > rank]
        if len(group) > MOST_TIED:
            raise DataError(f"at most {MOST_TIED} options may share a rank, got {len(group)} of rank {rank}")
        for size in range(1, len(group) + 1):
            for subset in combinations(group, size):
                yield list(subset), worse, 1.0 / math.comb(len(group), size)


def _log_prob(gap: Tensor, lapse: float) -> Tensor:
    """Log of the probability that the option ahead by ``gap`` nats is chosen."""
    log_prob = F.logsigmoid(gap)
    if lapse > 0.0:
        # Mix in log space: sigmoid(gap) underflows long before its logarithm does.
        guessing = torch.full_like(gap, math.log(lapse / 2))
        log_prob = torch.logaddexp(math.log1p(-lapse) + log_prob, guessing)
    return log_prob


def _check_lapse(lapse: float) -> None:
    if not 0.0 <= lapse < 1.0:
        raise ConfigError(f"lapse must be in [0, 1), got {lapse}; 0.1 means one answer in ten is random")


def _check_margin(margin: float | Tensor) -> None:
    if not isinstance(margin, Tensor) and not 0.0 <= margin < math.inf:
        raise ConfigError(f"margin must be in [0, inf) nats, got {margin}; 1 asks the better reply to lead by 1 nat")
