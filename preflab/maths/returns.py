"""From one score at the end of a reply to a learning signal for each of its tokens.

Replies lie in padded [sample, token] tensors; masks mark the tokens that count. Whatever stands in the padding,
nan included, changes nothing, and every result is 0 there. Results are constants: no gradient flows through them.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from preflab.errors import ConfigError, DataError


def token_rewards(
    logp: Float[Tensor, "sample token"],
    ref_logp: Float[Tensor, "sample token"],
    score: Float[Tensor, " sample"],
    mask: Bool[Tensor, "sample token"],
    kl_coefficient: float,
) -> Float[Tensor, "sample token"]:
    """Reward of each token: a penalty for leaving the reference, and the score at the last token.

    ``reward_t = -kl_coefficient * (logp_t - ref_logp_t) + [t is the last token that counts] * score``
    (Stiennon et al. 2020, sec. 3.4; Ouyang et al. 2022, sec. 3.5). Without discount a reply's rewards sum to
    ``score - kl_coefficient * log(policy / reference)``.

    Args:
        logp            [sample, token]  nats, of the policy that sampled, when it sampled.
        ref_logp        [sample, token]  nats, of the same tokens.
        score           [sample]         reward units, one per reply.
        mask            [sample, token]  True = counts: tokens of the reply up to and including its end.
        kl_coefficient  scalar           reward units per nat, at least 0.

    Returns:
        rewards         [sample, token]  reward units; 0 in padding.

    Raises:
        ConfigError: ``kl_coefficient`` is negative or not finite.
        DataError: a reply has no token that counts, so that its score would be lost.
    """
    if not 0.0 <= kl_coefficient < float("inf"):
        raise ConfigError(f"KL coefficient must be in [0, inf), got {kl_coefficient}")
    empty = ~mask.any(dim=1)
    if empty.any():
        raise DataError(f"every reply must have a token that counts; sample {int(empty.nonzero()[0])} has none")
    penalty = torch.where(mask, kl_coefficient * (logp - ref_logp).detach(), 0.0)
    position = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, position, -1).amax(dim=1, keepdim=True)
    return torch.where(position == last, score.detach()[:, None], 0.0) - penalty


def gae(
    rewards: Float[Tensor, "sample token"],
    values: Float[Tensor, "sample token"],
    mask: Bool[Tensor, "sample token"],
    *,
    discount: float = 1.0,
    trace: float = 0.95,
) -> tuple[Float[Tensor, "sample token"], Float[Tensor, "sample token"]]:
    """Generalized advantage estimation, and the returns that the value function should predict.

    ::

        delta_t     = reward_t + discount * V_{t+1} - V_t        V after the last token = 0
        advantage_t = delta_t + discount * trace * advantage_{t+1}
        return_t    = advantage_t + V_t

    (Schulman et al. 2016, eq. 16; Stiennon et al. 2020 use discount 1 and trace 0.95.) ``trace = 1`` gives the
    rewards still to come minus the value; ``trace = 0`` the one-step error ``delta``.

    Args:
        rewards     [sample, token]  reward units.
        values      [sample, token]  reward units; V_t is predicted before token t is drawn.
        mask        [sample, token]  True = counts; in each row a run of True from the first token on.
        discount    scalar           in [0, 1].
        trace       scalar           in [0, 1]; the lambda of the paper.

    Returns:
        advantages  [sample, token]  reward units, not whitened; 0 in padding.
        returns     [sample, token]  reward units; 0 in padding.

    Raises:
        ConfigError: ``discount`` or ``trace`` is outside [0, 1].
        DataError: a row of ``mask`` has a gap or starts with padding.
    """
    _check_shares(discount=discount, trace=trace)
    broken = (mask[:, 1:] & ~mask[:, :-1]).any(dim=1)
    if broken.any():
        raise DataError(
            "each row of the mask must be a run of True from the first token on; "
            f"sample {int(broken.nonzero()[0])} has a token after padding"
        )
    rewards = torch.where(mask, rewards.detach(), 0.0)
    values = torch.where(mask, values.detach(), 0.0)  # which makes V after the last token 0
    after = torch.cat([values[:, 1:], values.new_zeros(len(values), 1)], dim=1)
    ended = torch.zeros_like(mask.T)
    advantages = _traced(rewards.T, values.T, after.T, ended, discount, trace).T
    return advantages, advantages + values


def gae_of_stretch(
    rewards: Float[Tensor, "time env"],
    values: Float[Tensor, "time env"],
    after: Float[Tensor, "time env"],
    ended: Bool[Tensor, "time env"],
    *,
    discount: float = 0.995,
    trace: float = 0.97,
) -> tuple[Float[Tensor, "time env"], Float[Tensor, "time env"]]:
    """Generalized advantage estimation over a stretch of time in which episodes may end and new ones begin.

    As `gae`, but nothing is assumed of what comes behind the last step or an end: ``after`` says what it is worth.
    No advantage is carried over an end. ``trace = 1`` gives n-step returns minus the value (A2C).

    Args:
        rewards     [time, env]  reward units.
        values      [time, env]  reward units; of what is seen before each step.
        after       [time, env]  reward units; of what is seen after it, before any reset: 0 where the world ends.
        ended       [time, env]  True = an episode ended with this step.
        discount    scalar       in [0, 1]; Christiano et al. 2017, appendix A.1: 0.995.
        trace       scalar       in [0, 1]; theirs is 0.97.

    Returns:
        advantages  [time, env]  reward units, not whitened.
        returns     [time, env]  reward units.

    Raises:
        ConfigError: ``discount`` or ``trace`` is outside [0, 1].
    """
    _check_shares(discount=discount, trace=trace)
    advantages = _traced(rewards.detach(), values.detach(), after.detach(), ended, discount, trace)
    return advantages, advantages + values.detach()


def _traced(
    rewards: Tensor, values: Tensor, after: Tensor, ended: Tensor, discount: float, trace: float
) -> Float[Tensor, "time item"]:
    """Errors of one step, each with the traces of those that follow it in its episode."""
    errors = rewards + discount * after - values
    advantages = torch.empty_like(errors)
    following = errors.new_zeros(errors.shape[1])
    goes_on = discount * trace * (~ended).to(errors.dtype)
    for t in reversed(range(len(errors))):
        advantages[t] = following = errors[t] + goes_on[t] * following
    return advantages


def _check_shares(**settings: float) -> None:
    for name, setting in settings.items():
        if not 0.0 <= setting <= 1.0:
            raise ConfigError(f"{name} must be in [0, 1], got {setting}")


def leave_one_out(rewards: Float[Tensor, "prompt sample"]) -> Float[Tensor, "prompt sample"]:
    """Advantage of each of a prompt's samples over the mean of the others: RLOO's baseline.

    ``A_i = R_i - 1/(k - 1) * sum over j != i of R_j`` (Ahmadian et al. 2024, sec. 4.2; Kool et al. 2019). It equals
    ``k/(k - 1) * (R_i - mean R)``; a prompt's advantages sum to 0. The others do not depend on sample i, so that the
    baseline leaves the expected gradient as it is.

    Args:
        rewards     [prompt, sample]  reward units, of whole replies; at least two samples.

    Returns:
        advantages  [prompt, sample]  reward units.

    Raises:
        DataError: a prompt has a single sample, which leaves nothing to compare it with.
    """
    k = rewards.shape[1]
    if k < 2:
        raise DataError(f"leave-one-out needs at least 2 samples per prompt, got {k}")
    rewards = rewards.detach()
    return (rewards - rewards.mean(dim=1, keepdim=True)) * (k / (k - 1))


def rewards_to_go(
    rewards: Float[Tensor, "sample token"], mask: Bool[Tensor, "sample token"]
) -> Float[Tensor, "sample token"]:
    """Sum of a reply's rewards from each token on, without discount.

    ``G_t = sum over s >= t of reward_s``: what token t can still influence (Sutton et al. 2000). ``G_0`` is the reward
    of the whole reply.

    Args:
        rewards  [sample, token]  reward units.
        mask     [sample, token]  True = counts.

    Returns:
        to_go    [sample, token]  reward units; 0 in padding.
    """
    rewards = torch.where(mask, rewards.detach(), 0.0)
    return torch.where(mask, rewards.flip(1).cumsum(1).flip(1), 0.0)
