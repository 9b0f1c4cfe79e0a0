"""The Elo scale, and Elo's rule for one game at a time.

400 Elo are odds of 10 to 1, so one nat is ``400 / ln 10 = 173.7`` Elo: ``d`` Elo ahead wins with probability
``1 / (1 + 10^(-d / 400))`` (Bai et al. 2022 HH, sec. 1.3, who write 174; they print the exponent without its sign).
"""

import math
from dataclasses import replace

import numpy as np

from preflab.errors import ConfigError
from preflab.maths.pairwise_votes import Votes
from preflab.maths.statistics import Count, Estimate

ELO_PER_NAT = 400 / math.log(10)


def to_elo(nats: Estimate, at: Count = 0.0) -> Estimate:
    """A rating on the Elo scale; ``at`` is the Elo of 0 nats."""
    value, low, high = (at + ELO_PER_NAT * x for x in (nats.value, nats.low, nats.high))
    return replace(nats, value=value, low=low, high=high)


def win_probability(elo_ahead: Count) -> float:
    """``1 / (1 + 10^(-d / 400))``: how often the one ahead by ``d`` Elo wins, ties left out."""
    return 1 / (1 + 10 ** (-elo_ahead / 400)) if elo_ahead > -4000 else 10 ** (elo_ahead / 400)


def online_elo(votes: Votes, *, k: Count = 4.0, start: Count = 1000.0) -> dict[str, float]:
    """Elo's rule: after each vote the winner takes ``k * (outcome - expected)`` from the loser.

    ``expected = 1 / (1 + 10^((R_second - R_first) / 400))``; a tie is an outcome of 1/2, a weight multiplies k. The
    result depends on the order of the votes and forgets old ones: right for players who change, wrong for policies
    that do not, for which `preflab.maths.ratings.fit_ratings` uses all votes alike.

    Args:
        votes  in the order in which they were cast.
        k      Elo that a game can move, above 0.
        start  Elo of everybody before the first vote.

    Returns:
        elo    name -> Elo; their mean stays at ``start``.

    Raises:
        ConfigError: ``k`` is not above 0.
    """
    if not k > 0:
        raise ConfigError(f"k must be above 0, got {k}; 4 to 32 Elo a game are usual")
    rating = np.full(len(votes.names), float(start))
    for a, b, outcome, weight in zip(votes.first, votes.second, votes.outcome, votes.weight, strict=True):
        change = k * weight * (outcome - win_probability(float(rating[a] - rating[b])))
        rating[a] += change
        rating[b] -= change
    return {name: float(x) for name, x in zip(votes.names, rating, strict=True)}
