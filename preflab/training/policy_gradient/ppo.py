"""PPO against any scorer: per-token KL penalty to a reference, a value model, clipped losses.

The recipe of Stiennon et al. 2020, Ouyang et al. 2022 and Bai et al. 2022: the score at a reply's last token, a penalty
of ``coefficient * (log policy - log reference)`` on every token, generalized advantage estimation, whitened advantages,
one or several epochs of minibatches on each batch of rollouts. With ``ptx`` it is PPO-ptx.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from preflab.checks import check_above, check_at_least, check_within, refuse_unread
from preflab.errors import ConfigError
from preflab.maths.policy import clip_fraction, masked_mean, masked_whiten, ppo_policy_loss
from preflab.maths.returns import gae
from preflab.models.roles import Role
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.method import Advantages, Minibatch
from preflab.training.policy_gradient.rollout_batch import RolloutBatch
from preflab.training.policy_gradient.value import ValueFit, ValueFitConfig


@dataclass(frozen=True, kw_only=True)
class PPOConfig(PolicyGradientConfig):
    """How a policy is trained. Defaults follow Stiennon et al. and Bai et al. where they say."""

    epochs: int = 2
    """Passes over each batch of rollouts (Bai et al.: 1, 2 or 4; more is more stable. Ouyang et al.: 1)."""
    minibatches: int = 2
    clip: float = 0.2
    value_clip: float | None = 0.2
    discount: float = 1.0
    gae_lambda: float = 0.95
    """Lambda of generalized advantage estimation."""
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
    value_head_updates: int = 16
    """Where the value model is only a head: updates of it per step, over hidden states that are at hand anyway."""
    value: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-4, schedule="constant"))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "epochs", "minibatches", "value_head_updates")
        check_at_least(self, 0, "value_warmup_steps")
        check_above(self, 0, "clip", "value_clip")
        check_within(self, "[0, 1]", "discount", "gae_lambda")
        if self.epochs * min(self.minibatches, self.prompts_per_step) == 1:  # the only update starts at a ratio of 1
            refuse_unread(self, "epochs=1 and minibatches=1, a single update", "clip")
        if self.centre_by_prompt and self.samples_per_prompt < 2:
            raise ConfigError("centre_by_prompt needs samples_per_prompt of at least 2")


@final
class PPO:
    """Proximal policy optimisation (Schulman et al. 2017) with a value model: a role, or a head on a frozen one."""

    per_reply = False

    def __init__(self, config: PPOConfig, value: Role) -> None:
        self.config, self.epochs, self.minibatches = config, config.epochs, config.minibatches
        self.value_warmup_steps = config.value_warmup_steps
        self.value_fit = ValueFit(
            value,
            ValueFitConfig(
                optimiser=config.value,
                clip=config.value_clip,
                head_updates=config.value_head_updates,
                normalise=config.normalise_values,
            ),
            steps=config.steps,
            updates_per_step=config.epochs * min(config.minibatches, config.prompts_per_step),
        )

    def advantages(self, batch: RolloutBatch, rewards: Float[Tensor, "sample token"]) -> Advantages:
        """Advantages by GAE, whitened over the batch; returns from the advantages before whitening."""
        config, mask, fit = self.config, batch.mask, self.value_fit
        if config.whiten_rewards:
            rewards = masked_whiten(rewards, mask, shift_mean=False)
        values = fit.predict(batch)
        advantages, returns = gae(rewards, values, mask, discount=config.discount, trace=config.gae_lambda)
        metrics = fit.metrics(batch, returns)
        metrics["advantage_std"] = float(advantages[mask].std(correction=0))
        if config.centre_by_prompt:
            advantages = centre_per_prompt(advantages, mask, batch.samples_per_row)
        if config.whiten_advantages:
            advantages = masked_whiten(advantages, mask)
        return Advantages(advantages, fit.targets(batch, returns), metrics)

    def losses(self, logp: Float[Tensor, " item"], minibatch: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """The clipped surrogate of every token."""
        clip, logp_old, advantages = self.config.clip, minibatch.logp_old, minibatch.advantages
        losses = ppo_policy_loss(logp, logp_old, advantages, clip=clip)
        return losses, {"clip_fraction": float(clip_fraction(logp.detach(), logp_old, advantages, clip=clip))}

    def state(self) -> dict[str, Tensor]:
        """The value model's."""
        return self.value_fit.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.value_fit.load_state(state)


def centre_per_prompt(
    advantages: Float[Tensor, "sample token"], mask: Bool[Tensor, "sample token"], samples: Sequence[int]
) -> Float[Tensor, "sample token"]:
    """Advantages less the mean over all tokens of the same prompt's samples; ``samples`` counts those of each."""
    prompts = zip(torch.split(advantages, list(samples)), torch.split(mask, list(samples)), strict=True)
    return torch.cat([of_prompt - masked_mean(of_prompt, prompt_mask) for of_prompt, prompt_mask in prompts])
