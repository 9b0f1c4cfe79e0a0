"""Drawing n replies and keeping the best: what it scores, and how far it strays from the policy.

Numpy only. From one bank of N samples per prompt, scored once, come the exact means for every n up to N, over all
subsets of n and without drawing any of them.
"""

import math

import numpy as np
from jaxtyping import Float, Float64
from scipy.special import gammaln, rel_entr  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import ConfigError, DataError


def best_of_n_weights(total: int, n: int) -> Float64[np.ndarray, " sample"]:
    """Probability that each of ``total`` ranked samples is the best of a random ``n`` of them.

    ``w_i = C(i - 1, n - 1) / C(total, n)`` for i = 1 (worst) ... total (best), computed with log-gamma
    (Nakano et al. 2021, appendix I; used by Gao et al. 2022). n = 1 weighs all alike; n = total keeps the best.

    Args:
        total             samples drawn, at least ``n``. With total < 2n the estimate rests on few samples.
        n                 size of the subset, at least 1.

    Returns:
        weights [sample]  probabilities in ascending order of the score that picks; they sum to 1.

    Raises:
        ConfigError: ``n`` is outside [1, total].
    """
    if not 1 <= n <= total:
        raise ConfigError(f"n must be in [1, total = {total}], got {n}; draw more samples for a larger n")
    rank = np.arange(n, total + 1, dtype=np.float64)
    log_weight = gammaln(rank) - gammaln(rank - n + 1) - gammaln(total) + gammaln(total - n + 1)
    weights = np.zeros(total)
    weights[n - 1 :] = np.exp(log_weight)
    weights /= weights.sum()  # which is n / total, but for the last digits that log-gamma loses at large totals
    return weights


def expected_best_of_n(
    rank_by: Float[np.ndarray, "prompt sample"], score: Float[np.ndarray, "prompt sample"], n: int
) -> Float64[np.ndarray, " prompt"]:
    """Mean score of the reply that ``rank_by`` picks from n samples, over all subsets of n.

    ``sum over i of w_i * score_(i)``, samples sorted by ``rank_by``, `best_of_n_weights` as w
    (Nakano et al. 2021, appendix I; Gao et al. 2022, sec. 2). Unbiased, and less noisy than drawing subsets.
    Ties in ``rank_by`` share their weights evenly, which equals breaking them at random.

    Args:
        rank_by  [prompt, sample]  the score that picks (the proxy).
        score    [prompt, sample]  the score to report (the gold one, or ``rank_by`` itself).
        n                          subset size, from 1 to the number of samples.

    Returns:
        expected [prompt]          unit of ``score``; average over prompts afterwards, never before.

    Raises:
        ConfigError: ``n`` is outside [1, samples].
        DataError: ``rank_by`` has a nan, or ``score`` a value that is not finite.
    """
    if np.isnan(rank_by).any() or not np.isfinite(score).all():
        raise DataError("scores must be finite: a nan would be sorted as the best of all, and 0 * inf is nan")
    weights = np.broadcast_to(best_of_n_weights(rank_by.shape[1], n), rank_by.shape)
    order = np.argsort(rank_by, axis=1, kind="stable")
    ranked = np.take_along_axis(rank_by, order, axis=1)
    starts = np.ones(ranked.shape, dtype=bool)  # True where a new group of equal scores begins
    starts[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    group = starts.ravel().cumsum() - 1
    shared = np.bincount(group, weights=weights.ravel()) / np.bincount(group)
    weights = shared[group].reshape(rank_by.shape)
    picked = np.take_along_axis(score.astype(np.float64), order, axis=1)
    expected: np.ndarray = (weights * picked).sum(axis=1)
    return expected


def kl_best_of_n(n: int) -> float:
    """KL of best-of-n from the policy it draws from, when no two samples score the same.

    ``KL = log n - (n - 1) / n`` (Stiennon et al. 2020; Gao et al. 2022, sec. 2). It depends on n alone. Where
    replies repeat or tie it is an upper bound (Beirami et al. 2024); see `kl_best_of_n_exact`, which `align` reports
    beside it. Bai et al. 2022 (HH) quote the rougher log n.

    Args:
        n   samples drawn, at least 1.

    Returns:
        kl  nats per reply; 0 for n = 1.

    Raises:
        ConfigError: ``n`` is below 1.
    """
    _check_n(n)
    return math.log(n) - (n - 1) / n


def kl_best_of_n_exact(probs: Float[np.ndarray, " option"], scores: Float[np.ndarray, " option"], n: int) -> float:
    """KL of best-of-n from the policy it draws from, when the replies can be listed.

    ``KL = sum over i of q_i * log(q_i / p_i)`` with ``q_i = F_i^n - F_{i-1}^n``, outcomes sorted by score and F the
    running sum of p (Beirami et al. 2024). Outcomes of equal score are as likely relative to each other
    after the choice as before, so they count as one.

    Args:
        probs   [option]  probability of each outcome under the policy; they sum to 1.
        scores  [option]  the score that picks, higher is better.
        n                 samples drawn, at least 1.

    Returns:
        kl                nats per reply, at most `kl_best_of_n` and at most log(1 / p) of the best outcomes.

    Raises:
        ConfigError: ``n`` is below 1.
        DataError: ``probs`` is not a distribution, or a score is nan.
    """
    _check_n(n)
    if not (probs >= 0).all() or abs(probs.sum() - 1.0) > 1e-6:
        raise DataError(f"probabilities must be at least 0 and sum to 1, got a sum of {probs.sum()}")
    if np.isnan(scores).any():
        raise DataError("scores must not be nan: a nan would be sorted as the best of all")
    _, group = np.unique(scores, return_inverse=True)
    p = np.bincount(group, weights=probs)
    p = p[p > 0] / p.sum()
    reached = p.cumsum()
    with np.errstate(divide="ignore"):  # the worst outcome is never better than another: log 0
        # F_i^n - F_{i-1}^n without subtracting near-equal numbers.
        q = -np.expm1(n * np.log1p(-np.minimum(p / reached, 1.0))) * np.minimum(reached, 1.0) ** n
    return float(rel_entr(q, p).sum())


def _check_n(n: int) -> None:
    if n < 1:
        raise ConfigError(f"n must be at least 1, got {n}; 1 keeps every sample")
