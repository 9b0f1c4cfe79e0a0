"""PPO against any scorer: per-token KL penalty to a reference, a value model, clipped losses.

The recipe of Stiennon et al. 2020, Ouyang et al. 2022 and Bai et al. 2022: the score at a reply's last token, a penalty
of ``coefficient * (log policy - log reference)`` on every token, generalized advantage estimation, whitened advantages,
one or several epochs of minibatches on each batch of rollouts. With ``ptx`` it is PPO-ptx.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from preflab.checks import check_above, check_at_least, check_within, refuse_unread
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError
from preflab.interfaces import Scorer
from preflab.maths.policy import clip_fraction, masked_mean, masked_whiten, ppo_policy_loss
from preflab.maths.returns import gae
from preflab.models.roles import Role
from preflab.rollouts.encode import Encoder
from preflab.rollouts.engine import Engine
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.advantages import Advantages, Minibatch
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.rollout_batch import RolloutBatch
from preflab.training.policy_gradient.training import PolicyGradient
from preflab.training.policy_gradient.value import ValueFit


@dataclass(frozen=True, kw_only=True)
class PPOConfig(PolicyGradientConfig):
    """How a policy is trained. Defaults follow Stiennon et al. and Bai et al. where they say."""

    epochs: int = 2
    """Passes over each batch of rollouts (Bai et al.: 1, 2 or 4; more is more stable. Ouyang et al.: 1)."""
    minibatches: int = 2
    clip: float = 0.2
    value_clip: float | None = 0.2
    discount: float = 1.0
    trace: float = 0.95
    """Lambda of the advantage estimate."""
    whiten_rewards: bool = False
    """Divide a step's token rewards by their deviation, mean kept (off in the reproductions of Stiennon et al.)."""
    whiten_advantages: bool = True
    centre_by_prompt: bool = False
    """Take the mean advantage of a prompt's samples from each of them before whitening: less noise where the value
    model does not yet tell prompts apart. Needs several samples per prompt."""
    normalise_values: bool = False
    """Train the value model on returns with their running mean and deviation taken out."""
    value_warmup_steps: int = 0
    """First steps that train the value model alone."""
    head_passes: int = 16
    """Where the value model is only a head: updates of it per step, over hidden states that are at hand anyway."""
    value: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-4, schedule="constant"))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "epochs", "minibatches", "head_passes")
        check_at_least(self, 0, "value_warmup_steps")
        check_above(self, 0, "clip", "value_clip")
        check_within(self, "[0, 1]", "discount", "trace")
        if self.epochs * min(self.minibatches, self.prompts_per_step) == 1:  # the only update starts at a ratio of 1
            refuse_unread(self, "epochs=1 and minibatches=1, a single update", "clip")
        if self.centre_by_prompt and self.samples_per_prompt < 2:
            raise ConfigError("centre_by_prompt needs samples_per_prompt of at least 2")


class PPOTraining(PolicyGradient):
    """PPO in progress; ``PolicyGradient`` says what the arguments mean. ``value`` is the value model."""

    config: PPOConfig
    per_reply = False

    def __init__(
        self,
        policy: Role,
        reference: Role | None,
        value: Role,
        scorer: Scorer,
        prompts: Sequence[Dialogue],
        encoder: Encoder,
        config: PPOConfig,
        *,
        seed: int,
        score_offset: float = 0.0,
        engine: Engine | None = None,
        pretraining: Sequence[Row] = (),
        sources: Mapping[Dialogue, str] | None = None,
    ) -> None:
        self.fit = ValueFit(
            value,
            config.value,
            steps=config.steps,
            updates_per_step=config.epochs * min(config.minibatches, config.prompts_per_step),
            clip=config.value_clip,
            head_passes=config.head_passes,
            normalise=config.normalise_values,
        )
        super().__init__(
            policy,
            reference,
            scorer,
            prompts,
            encoder,
            config,
            seed=seed,
            value=self.fit,
            epochs=config.epochs,
            minibatches=config.minibatches,
            value_warmup_steps=config.value_warmup_steps,
            score_offset=score_offset,
            engine=engine,
            pretraining=pretraining,
            sources=sources,
        )

    def _credit(self, experience: RolloutBatch, rewards: Float[Tensor, "sample token"]) -> Advantages:
        """Advantages by GAE, whitened over the batch; returns from the advantages before whitening."""
        config, mask = self.config, experience.mask
        if config.whiten_rewards:
            rewards = masked_whiten(rewards, mask, shift_mean=False)
        values = self.fit.read(experience)
        advantages, returns = gae(rewards, values, mask, discount=config.discount, trace=config.trace)
        metrics = self.fit.describe(experience, returns)
        metrics["advantage_std"] = float(advantages[mask].std(correction=0))
        if config.centre_by_prompt:
            advantages = centred(advantages, mask, experience.samples_per_row)
        if config.whiten_advantages:
            advantages = masked_whiten(advantages, mask)
        return Advantages(advantages, self.fit.targets(experience, returns), metrics)

    def _losses(self, logp: Float[Tensor, " item"], part: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """The clipped surrogate of every token."""
        losses = ppo_policy_loss(logp, part.logp_old, part.advantages, clip=self.config.clip)
        clipped = clip_fraction(logp.detach(), part.logp_old, part.advantages, clip=self.config.clip)
        return losses, {"clip_fraction": float(clipped)}


def centred(
    advantages: Float[Tensor, "sample token"], mask: Bool[Tensor, "sample token"], sizes: Sequence[int]
) -> Float[Tensor, "sample token"]:
    """Advantages less the mean over all tokens of the same prompt's samples."""
    pieces = zip(torch.split(advantages, list(sizes)), torch.split(mask, list(sizes)), strict=True)
    return torch.cat([own - masked_mean(own, counts) for own, counts in pieces])
