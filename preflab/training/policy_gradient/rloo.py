"""RLOO: a reply against the mean of its prompt's other replies, without a value model (Ahmadian et al. 2024).

The whole reply is one action: its reward is the score less the KL penalty summed over its tokens, its advantage what it
has over the mean of its sisters, its ratio that of whole-reply probabilities. On the first pass over a batch the ratio
is 1 and the gradient is the paper's; on later ones PPO's clip holds the policy near where it sampled.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from preflab.checks import check_above, check_at_least, refuse_unread
from preflab.errors import ConfigError
from preflab.maths.policy import clip_fraction, masked_whiten, ppo_policy_loss
from preflab.maths.returns import leave_one_out
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.method import Advantages, Minibatch
from preflab.training.policy_gradient.rollout_batch import RolloutBatch


@dataclass(frozen=True, kw_only=True)
class RLOOConfig(PolicyGradientConfig):
    """How a policy is trained by leave-one-out; needs several samples per prompt."""

    samples_per_prompt: int = 4
    epochs: int = 1
    minibatches: int = 1
    clip: float = 0.2
    """Largest change of a whole reply's probability ratio that is still paid for."""
    whiten_advantages: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "epochs", "minibatches")
        check_above(self, 0, "clip")
        if self.epochs * min(self.minibatches, self.prompts_per_step) == 1:  # the only update starts at a ratio of 1
            refuse_unread(self, "epochs=1 and minibatches=1, a single update", "clip")
        if self.samples_per_prompt < 2:
            raise ConfigError("leave-one-out needs samples_per_prompt of at least 2")


@final
class RLOO:
    """REINFORCE leave-one-out."""

    per_reply = True
    value_fit = None
    value_warmup_steps = 0

    def __init__(self, config: RLOOConfig) -> None:
        self.config, self.epochs, self.minibatches = config, config.epochs, config.minibatches

    def advantages(self, batch: RolloutBatch, rewards: Float[Tensor, "sample token"]) -> Advantages:
        """What each reply has over its sisters, for every token of it."""
        reply_rewards = rewards.sum(-1).reshape(len(batch.rows), -1)
        advantages = leave_one_out(reply_rewards).reshape(-1, 1)
        metrics = {"advantage_std": float(advantages.std(correction=0))}
        if self.config.whiten_advantages:
            advantages = masked_whiten(advantages, advantages.isfinite())
        return Advantages(advantages.expand(-1, batch.mask.shape[1]), None, metrics)

    def losses(self, logp: Float[Tensor, " item"], minibatch: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """The clipped surrogate of every reply."""
        clip, advantages = self.config.clip, minibatch.first_per_reply(minibatch.advantages)
        new, old = (minibatch.row_batch.sum_per_reply(log_probs) for log_probs in (logp, minibatch.logp_old))
        losses = ppo_policy_loss(new, old, advantages, clip=clip)
        return losses, {"clip_fraction": float(clip_fraction(new.detach(), old, advantages, clip=clip))}

    def state(self) -> dict[str, Tensor]:
        """Nothing: a step's advantages rest on its own rollouts."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to put back."""
