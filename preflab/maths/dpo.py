"""Preferences straight into a policy: losses on the log-ratios of replies to a reference, no preference model.

Rafailov et al. 2023 (arXiv 2305.18290): a policy that maximises a reward under a KL price ``beta`` has that reward,
up to a term of the prompt alone, as ``beta * (log policy - log reference)``. So a policy can be fitted to comparisons
as a preference model is, with its own log-ratios as the scores. Azar et al. 2023 (arXiv 2310.12036) fit the gap of
the log-ratios to a fixed distance instead, which hard labels cannot drive to infinity.

A reply's log-ratio is the sum over its tokens of ``log policy - log reference``, in nats.
"""

import math

from jaxtyping import Float
from torch import Tensor

from preflab.errors import ConfigError
from preflab.maths.preference import preference_loss


def implicit_reward(log_ratio: Float[Tensor, " *item"], beta: float) -> Float[Tensor, " *item"]:
    """The reward that a policy acts on, up to a term of the prompt that no comparison can show.

    ``reward = beta * log_ratio`` (Rafailov et al. 2023, eq. 5).

    Args:
        log_ratio  [*item]  log policy - log reference of whole replies, nats.
        beta       scalar   price of KL, nats of reward per nat; above 0.

    Returns:
        reward     [*item]  nats; only differences between replies to one prompt matter.

    Raises:
        ConfigError: ``beta`` is not above 0, or not finite.
    """
    _check_price("beta", beta)
    return beta * log_ratio


def smoothed(prob_a: Float[Tensor, " pair"], label_smoothing: float) -> Float[Tensor, " pair"]:
    """The labels when a share of them is taken to be the wrong way round.

    ``prob = (1 - label_smoothing) * prob_a + label_smoothing * (1 - prob_a)``
    (Mitchell 2023, "conservative DPO"). A tie stays a tie.

    This is not `preflab.maths.preference.preference_loss`'s ``lapse``: that mixes the *prediction* with a coin, and
    bounds the loss of one bad label; this mixes the *label*, and so puts the best gap at a finite distance.

    Args:
        prob_a           [pair]  probability in [0, 1] that ``a`` is the better one.
        label_smoothing  scalar  probability in [0, 0.5) that a label is the wrong way round.

    Returns:
        prob             [pair]  probability in [label_smoothing, 1 - label_smoothing].

    Raises:
        ConfigError: ``label_smoothing`` is outside [0, 0.5).
    """
    if not 0.0 <= label_smoothing < 0.5:
        raise ConfigError(
            f"label_smoothing must be in [0, 0.5), got {label_smoothing}; 0.1 means one label in ten is the wrong way "
            "round, and from 0.5 on labels would say nothing or the opposite"
        )
    return label_smoothing + (1.0 - 2.0 * label_smoothing) * prob_a


def dpo_loss(
    log_ratio_a: Float[Tensor, " pair"],
    log_ratio_b: Float[Tensor, " pair"],
    prob_a: Float[Tensor, " pair"],
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " pair"]:
    """Cross-entropy between a labeller's choices and the choices that the implicit rewards predict.

    ``loss = -p * log sigmoid(beta * gap) - (1 - p) * log sigmoid(-beta * gap)``
    with ``gap = log_ratio_a - log_ratio_b`` and ``p = smoothed(prob_a)``.

    For ``prob_a = 1`` without smoothing this is Rafailov et al. 2023, eq. 7; with smoothing their code's conservative
    DPO; for a soft label its expectation. It is `preference_loss` with implicit rewards for scores.

    Args:
        log_ratio_a      [pair]  log policy - log reference of reply a, summed over its tokens, nats.
        log_ratio_b      [pair]  nats.
        prob_a           [pair]  probability in [0, 1] that ``a`` is the better one: 1 or 0 for a human choice, 0.5
                                 for a tie, anything between for a soft AI label.
        beta             scalar  price of KL, above 0; the paper uses 0.1, and 0.5 for summaries (app. B).
        label_smoothing  scalar  probability in [0, 0.5), as in `smoothed`.

    Returns:
        loss             [pair]  nats per comparison, not yet averaged. A policy that is the reference pays ln 2 =
                                 0.693; the least anyone can pay is the entropy of ``p``.

    Raises:
        ConfigError: ``beta`` or ``label_smoothing`` is out of range.
    """
    prob = smoothed(prob_a, label_smoothing)
    return preference_loss(implicit_reward(log_ratio_a, beta), implicit_reward(log_ratio_b, beta), prob)


def ipo_loss(
    log_ratio_a: Float[Tensor, " pair"],
    log_ratio_b: Float[Tensor, " pair"],
    prob_a: Float[Tensor, " pair"],
    *,
    tau: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " pair"]:
    """Squared distance of the gap between two log-ratios from the gap that the label asks for.

    ``loss = p * (gap - 1 / (2 tau))^2 + (1 - p) * (gap + 1 / (2 tau))^2``
    with ``gap = log_ratio_a - log_ratio_b`` and ``p = smoothed(prob_a)``.

    For ``prob_a = 1`` without smoothing this is Azar et al. 2023, eq. 17. For a soft label it is its expectation,
    whose gradient is that of ``(gap - (2 p - 1) / (2 tau))^2``: a tie pulls the gap to 0.

    Whole replies or averages: the paper's log-ratios are sums over a reply's tokens. TRL, after talking to its authors,
    passes the mean per token, so that ``1 / (2 tau)`` is a distance in nats per token whatever the lengths; with sums
    a fixed distance in nats asks little of a long reply. This function takes either; ``DPOConfig.per_token`` of the
    trainer says which, and is on for IPO unless told otherwise.

    Args:
        log_ratio_a      [pair]  log policy - log reference of reply a: summed over its tokens, or their mean.
        log_ratio_b      [pair]  the same of reply b.
        prob_a           [pair]  probability in [0, 1] that ``a`` is the better one.
        tau              scalar  price of KL, above 0 (TRL calls it beta).
        label_smoothing  scalar  probability in [0, 0.5), as in `smoothed`.

    Returns:
        loss             [pair]  squared nats (per token), not yet averaged. A policy that is the reference pays
                                 1 / (4 tau^2); the least anyone can pay is ``p (1 - p) / tau^2``, 0 for hard labels.

    Raises:
        ConfigError: ``tau`` or ``label_smoothing`` is out of range.
    """
    _check_price("tau", tau)
    prob = smoothed(prob_a, label_smoothing)
    gap, target = log_ratio_a - log_ratio_b, 0.5 / tau
    return prob * (gap - target).square() + (1 - prob) * (gap + target).square()


def _check_price(name: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise ConfigError(f"{name} must be above 0 and finite, got {value}; a small one lets the policy go far")
