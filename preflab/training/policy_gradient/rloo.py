"""RLOO: a reply against the mean of its prompt's other replies, without a value model (Ahmadian et al. 2024).

The whole reply is one action: its reward is the score less the KL penalty summed over its tokens, its advantage what it
has over the mean of its sisters, its ratio that of whole-reply probabilities. On the first pass over a batch the ratio
is 1 and the gradient is the paper's; on later ones PPO's clip holds the policy near where it sampled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from preflab.checks import check_above, check_at_least, refuse_unread
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError
from preflab.interfaces import Scorer
from preflab.maths.policy import clip_fraction, masked_whiten, ppo_policy_loss
from preflab.maths.returns import leave_one_out
from preflab.models.roles import Role
from preflab.rollouts.encode import Encoder
from preflab.rollouts.engine import Engine
from preflab.training.policy_gradient.advantages import Advantages, Minibatch
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.rollout_batch import RolloutBatch
from preflab.training.policy_gradient.training import PolicyGradient


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


class RLOOTraining(PolicyGradient):
    """RLOO in progress; ``PolicyGradient`` says what the arguments mean."""

    config: RLOOConfig
    per_reply = True

    def __init__(
        self,
        policy: Role,
        reference: Role | None,
        scorer: Scorer,
        prompts: Sequence[Dialogue],
        encoder: Encoder,
        config: RLOOConfig,
        *,
        seed: int,
        score_offset: float = 0.0,
        engine: Engine | None = None,
        pretraining: Sequence[Row] = (),
        sources: Mapping[Dialogue, str] | None = None,
    ) -> None:
        super().__init__(
            policy,
            reference,
            scorer,
            prompts,
            encoder,
            config,
            seed=seed,
            epochs=config.epochs,
            minibatches=config.minibatches,
            score_offset=score_offset,
            engine=engine,
            pretraining=pretraining,
            sources=sources,
        )

    def _credit(self, experience: RolloutBatch, rewards: Float[Tensor, "sample token"]) -> Advantages:
        """What each reply has over its sisters, for every token of it."""
        of_replies = rewards.sum(-1).reshape(len(experience.rows), -1)
        advantages = leave_one_out(of_replies).reshape(-1, 1)
        metrics = {"advantage_std": float(advantages.std(correction=0))}
        if self.config.whiten_advantages:
            advantages = masked_whiten(advantages, advantages.isfinite())
        return Advantages(advantages.expand(-1, experience.mask.shape[1]), None, metrics)

    def _losses(self, logp: Float[Tensor, " item"], part: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """The clipped surrogate of every reply."""
        new, old = part.per_reply(logp), part.per_reply(part.logp_old)
        advantages = part.of_reply(part.advantages)
        losses = ppo_policy_loss(new, old, advantages, clip=self.config.clip)
        clipped = clip_fraction(new.detach(), old, advantages, clip=self.config.clip)
        return losses, {"clip_fraction": float(clipped)}
