"""Moving a policy towards what scored well, and measuring how far it moved.

Log-probabilities are natural, of the tokens that were sampled, at the sampling temperature. ``*item`` stands for
any shape, usually [sample, token]; all arguments must share it. Losses return one value per item; average them
with `masked_mean`.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from preflab.errors import ConfigError, TrainingStopped

LIMIT = 20.0
"""Largest log-ratio, in nats, that is ever handed to ``exp``: a factor of 4.9e8, finite in float32 and bfloat16."""


def log_ratio(
    logp_new: Float[Tensor, " *item"], logp_old: Float[Tensor, " *item"], limit: float = LIMIT
) -> Float[Tensor, " *item"]:
    """Log of new over old probability, safe to exponentiate.

    ``clamp(logp_new - logp_old, -limit, limit)``; the gradient is 0 where the clamp holds.

    Args:
        logp_new  [*item]  nats.
        logp_old  [*item]  nats.
        limit     scalar   nats, above 0.

    Returns:
        ratio     [*item]  nats; positive where the new policy likes the token better.

    Raises:
        ConfigError: ``limit`` is not above 0.
    """
    if not limit > 0.0:
        raise ConfigError(f"limit must be above 0 nats, got {limit}; 20 allows ratios up to e^20 = 4.9e8")
    return (logp_new - logp_old).clamp(-limit, limit)


def ppo_policy_loss(
    logp_new: Float[Tensor, " *item"],
    logp_old: Float[Tensor, " *item"],
    advantages: Float[Tensor, " *item"],
    *,
    clip: float = 0.2,
) -> Float[Tensor, " *item"]:
    """PPO's clipped surrogate: no reward for moving a probability by more than ``clip``.

    ``loss = max(-A * ratio, -A * clamp(ratio, 1 - clip, 1 + clip))`` with ``ratio = exp(logp_new - logp_old)``
    (Schulman et al. 2017, eq. 7; Stiennon et al. 2020 and Ouyang et al. 2022 use clip 0.2).
    At ``logp_new = logp_old`` the loss is ``-A`` and its gradient is the policy gradient ``-A * grad logp_new``.

    Args:
        logp_new    [*item]  nats; the only argument that receives a gradient.
        logp_old    [*item]  nats, from the policy that sampled.
        advantages  [*item]  reward units, usually whitened.
        clip        scalar   largest change of the ratio, in (0, 1).

    Returns:
        loss        [*item]  reward units, lower is better.

    Raises:
        ConfigError: ``clip`` is outside (0, 1).
    """
    _check_clip(clip)
    advantages = advantages.detach()
    ratio = log_ratio(logp_new, logp_old.detach()).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1.0 - clip, 1.0 + clip))


def reinforce_loss(logp: Float[Tensor, " *item"], advantages: Float[Tensor, " *item"]) -> Float[Tensor, " *item"]:
    """The plain policy gradient as a loss, for samples of the very policy that is updated.

    ``loss = -A * logp``, with gradient ``-A * grad logp`` (Williams 1992; Sutton et al. 2000). Summed over a reply's
    tokens and averaged over replies its gradient is, in expectation, minus that of the mean reward, whatever baseline
    was taken from the advantages, as long as it does not depend on the token itself. The value of the loss means
    nothing. Not for a second update on the same samples: nothing here corrects for the policy having moved.

    Args:
        logp        [*item]  nats; the only argument that receives a gradient.
        advantages  [*item]  reward units.

    Returns:
        loss        [*item]  reward units times nats.
    """
    return -advantages.detach() * logp


def clip_fraction(
    logp_new: Float[Tensor, " *item"],
    logp_old: Float[Tensor, " *item"],
    advantages: Float[Tensor, " *item"],
    mask: Bool[Tensor, " *item"] | None = None,
    *,
    clip: float = 0.2,
) -> Float[Tensor, ""]:
    """Share of items whose gradient PPO's clip has switched off; for logging.

    An item is clipped when ``A > 0`` and ``ratio > 1 + clip``, or ``A < 0`` and ``ratio < 1 - clip``
    (Schulman et al. 2017, fig. 1).

    Args:
        logp_new, logp_old  [*item]  nats.
        advantages          [*item]  reward units; only their sign matters.
        mask                [*item]  True = counts; None counts all.
        clip                scalar   in (0, 1).

    Returns:
        fraction            scalar   in [0, 1]; 0 when nothing counts.

    Raises:
        ConfigError: ``clip`` is outside (0, 1).
    """
    _check_clip(clip)
    ratio = log_ratio(logp_new, logp_old).detach().exp()
    clipped = ((advantages > 0) & (ratio > 1.0 + clip)) | ((advantages < 0) & (ratio < 1.0 - clip))
    return masked_mean(clipped.to(ratio.dtype), torch.ones_like(clipped) if mask is None else mask)


def value_loss(
    values: Float[Tensor, " *item"],
    old_values: Float[Tensor, " *item"],
    returns: Float[Tensor, " *item"],
    *,
    clip: float | None = 0.2,
) -> Float[Tensor, " *item"]:
    """Squared error of predicted returns, blind to progress beyond ``clip`` from the old prediction.

    ``loss = 0.5 * max((V - R)^2, (clamp(V, V_old - clip, V_old + clip) - R)^2)``
    (the code behind Stiennon et al. 2020; InstructGPT names no value clip). ``clip=None`` is ``0.5 * (V - R)^2``.

    Args:
        values      [*item]  reward units; the only argument that receives a gradient.
        old_values  [*item]  reward units, predicted when the samples were drawn.
        returns     [*item]  reward units, the targets.
        clip        scalar   reward units, above 0, or None for no clipping.

    Returns:
        loss        [*item]  squared reward units.

    Raises:
        ConfigError: ``clip`` is not above 0.
    """
    if clip is not None and not clip > 0.0:
        raise ConfigError(f"value clip must be above 0 reward units, or None for no clipping, got {clip}")
    returns, old_values = returns.detach(), old_values.detach()
    error = (values - returns).square()
    if clip is not None:
        clipped = torch.clamp(values, old_values - clip, old_values + clip)
        error = torch.maximum(error, (clipped - returns).square())
    return 0.5 * error


def value_clip_fraction(
    values: Float[Tensor, " *item"],
    old_values: Float[Tensor, " *item"],
    returns: Float[Tensor, " *item"],
    *,
    clip: float | None = 0.2,
) -> Float[Tensor, ""]:
    """Share of items in which the clipped error of ``value_loss`` is the larger, so that no gradient flows.

    Args:
        values, old_values, returns, clip  as in ``value_loss``.

    Returns:
        fraction                           scalar, in [0, 1]; 0 without a clip or without items.
    """
    if clip is None or not values.numel():
        return values.new_zeros(())
    clipped = torch.clamp(values, old_values - clip, old_values + clip)
    return ((clipped - returns).square() > (values - returns).square()).to(values.dtype).mean()


def kl_k3(logp: Float[Tensor, " *item"], ref_logp: Float[Tensor, " *item"]) -> Float[Tensor, " *item"]:
    """KL(policy || reference) from samples of the policy: the estimate that is never negative.

    ``k3 = exp(ref_logp - logp) - 1 - (ref_logp - logp)`` (Schulman 2020). The value is unbiased and varies less
    than the plain log-ratio, k1 = logp - ref_logp, while the policies are close. **For logging only**: as a loss its
    gradient is biased, it is that of the other divergence, KL(reference || policy). The exponent is clamped at 20 nats.

    Args:
        logp      [*item]  nats, of tokens sampled from this policy.
        ref_logp  [*item]  nats, of the same tokens.

    Returns:
        k3        [*item]  nats, at least 0.
    """
    gap = ref_logp - logp
    return torch.expm1(gap.clamp(max=LIMIT)) - gap


def exact_kl(logits: Float[Tensor, "*item vocab"], ref_logits: Float[Tensor, "*item vocab"]) -> Float[Tensor, " *item"]:
    """KL(policy || reference) of each next-token distribution, summed over the vocabulary.

    ``KL = sum over v of p(v) * (log p(v) - log q(v))``. Value and gradient are exact for the given context, so
    it may serve as a loss; the gradient leaves out how the policy changes which contexts arise.

    Args:
        logits      [*item, vocab]  unnormalised, of the policy; -inf for entries that cannot be drawn.
        ref_logits  [*item, vocab]  unnormalised, of the reference.

    Returns:
        kl          [*item]         nats, at least 0; inf where the policy draws what the reference cannot.
    """
    logp, ref_logp = logits.log_softmax(dim=-1), ref_logits.log_softmax(dim=-1)
    # 0 * log(0 / 0) is 0 here; without `where` it is nan, in the gradient too.
    gap = torch.where(logp > -math.inf, logp - ref_logp, 0.0)
    return (logp.exp() * gap).sum(dim=-1)


def entropy(logits: Float[Tensor, "*item vocab"]) -> Float[Tensor, " *item"]:
    """Entropy of each next-token distribution.

    ``H = -sum over v of p(v) * log p(v)``. Exact in value and gradient for the given context.

    Args:
        logits   [*item, vocab]  unnormalised; -inf for entries that cannot be drawn.

    Returns:
        entropy  [*item]         nats, in [0, log vocab]; divide by ln 2 for bits.
    """
    logp = logits.log_softmax(dim=-1)
    return -(logp.exp() * torch.where(logp > -math.inf, logp, 0.0)).sum(dim=-1)


def masked_mean(x: Float[Tensor, " *item"], mask: Bool[Tensor, " *item"]) -> Float[Tensor, ""]:
    """Mean over the items that count.

    ``sum(x[mask]) / sum(mask)``, and 0 with a gradient of 0 when nothing counts. Items that do not count may be
    nan or infinite: neither the mean nor the gradient with respect to ``x`` sees them. (What computed ``x`` must
    itself have a finite derivative there, since 0 * inf is nan: mask before ``exp`` and ``log``, too.)

    Args:
        x     [*item]  any unit.
        mask  [*item]  True = counts.

    Returns:
        mean  scalar   unit of ``x``.
    """
    return torch.where(mask, x, 0.0).sum() / mask.sum().clamp(min=1)


def masked_whiten(
    x: Float[Tensor, " *item"], mask: Bool[Tensor, " *item"], *, shift_mean: bool = True
) -> Float[Tensor, " *item"]:
    """Rescale the items that count to variance 1, and move their mean to 0.

    ``(x - mean) / sqrt(var + 1e-8)``, with mean and population variance over the items that count
    (the code behind Stiennon et al. 2020; Ouyang et al. 2022 whiten advantages likewise).

    Args:
        x           [*item]  any unit. Items that do not count may be nan or infinite.
        mask        [*item]  True = counts.
        shift_mean           False keeps the mean, ``(x - mean) / sqrt(var + 1e-8) + mean``, as for rewards.

    Returns:
        whitened    [*item]  without unit; 0 where ``mask`` is False, and everywhere if nothing varies
                             (or the mean, when it is kept).
    """
    mean = masked_mean(x, mask)
    centred = torch.where(mask, x, mean) - mean
    whitened = centred * torch.rsqrt(masked_mean(centred.square(), mask) + 1e-8)
    return whitened if shift_mean else torch.where(mask, whitened + mean, 0.0)


def adaptive_kl_step(coefficient: float, kl: float, *, target: float, n_episodes: int, horizon: int = 10_000) -> float:
    """Next KL coefficient: larger when the policy strayed too far, smaller when it stayed too close.

    ``coefficient * (1 + error * n_episodes / horizon)`` with ``error = clamp(kl / target - 1, -0.2, 0.2)``
    (Ziegler et al. 2019, sec. 2.2; Stiennon et al. 2020 keep the coefficient fixed).

    Args:
        coefficient  reward units per nat, at least 0.
        kl           nats per reply, mean of the last batch.
        target       nats per reply, above 0.
        n_episodes   replies in that batch, from 0 to less than 5 * horizon.
        horizon      replies over which the coefficient may change by a factor of about e^0.2.

    Returns:
        coefficient  reward units per nat.

    Raises:
        ConfigError: a setting is out of range.
        TrainingStopped: ``kl`` is not finite.
    """
    if not 0.0 <= coefficient < math.inf:
        raise ConfigError(f"KL coefficient must be in [0, inf), got {coefficient}")
    if not 0.0 < target < math.inf:
        raise ConfigError(f"KL target must be in (0, inf) nats per reply, got {target}")
    if horizon <= 0 or not 0 <= n_episodes < 5 * horizon:
        raise ConfigError(f"n_episodes must be in [0, 5 * horizon), got {n_episodes} with a horizon of {horizon}")
    if not math.isfinite(kl):
        raise TrainingStopped(f"KL must be finite to set its coefficient, got {kl}")
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return coefficient * (1.0 + error * n_episodes / horizon)


def _check_clip(clip: float) -> None:
    if not 0.0 < clip < 1.0:
        raise ConfigError(f"clip must be in (0, 1), got {clip}; 0.2 lets a probability change by 20 %")
