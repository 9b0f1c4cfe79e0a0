"""REINFORCE with a baseline: one plain policy-gradient step on each batch of rollouts (Williams 1992).

Two baselines. ``mean``: the mean reward of all replies of earlier steps; every token is credited with its whole reply's
reward less that. ``value``: a value model; every token is credited with the rewards from it on, less what the model
foresaw before it. No ratio, no clip, hence one update per batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.checks import check_above, check_at_least, refuse_unread
from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import ConfigError
from preflab.interfaces import Scorer
from preflab.maths.policy import masked_whiten, reinforce_loss
from preflab.maths.returns import rewards_to_go
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
class ReinforceConfig(PolicyGradientConfig):
    """How a policy is trained by REINFORCE."""

    baseline: Literal["mean", "value"] = "mean"
    baseline_decay: float | None = None
    """Of the running mean, per step; None weighs all earlier replies alike (Ahmadian et al. 2024, sec. 4.1)."""
    whiten_advantages: bool = False
    value_clip: float | None = None
    normalise_values: bool = False
    value_warmup_steps: int = 0
    """First steps that train the value model alone."""
    head_passes: int = 16
    """Where the value model is only a head: updates of it per step."""
    value: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-4, schedule="constant"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline_decay is not None and not 0.0 <= self.baseline_decay < 1.0:
            raise ConfigError(f"baseline_decay must be in [0, 1) or null, got {self.baseline_decay}")
        check_at_least(self, 1, "head_passes")
        check_at_least(self, 0, "value_warmup_steps")
        check_above(self, 0, "value_clip")
        if self.baseline == "value":
            refuse_unread(self, "baseline=value", "baseline_decay")
        else:
            refuse_unread(self, "baseline=mean", "value_clip", "normalise_values")
        if self.value_warmup_steps and self.baseline != "value":
            raise ConfigError("value_warmup_steps trains a value model; it needs baseline=value")


class ReinforceTraining(PolicyGradient):
    """REINFORCE in progress; ``PolicyGradient`` says what the arguments mean. ``value`` goes with that baseline."""

    config: ReinforceConfig
    per_reply = True

    def __init__(
        self,
        policy: Role,
        reference: Role | None,
        value: Role | None,
        scorer: Scorer,
        prompts: Sequence[Dialogue],
        encoder: Encoder,
        config: ReinforceConfig,
        *,
        seed: int,
        score_offset: float = 0.0,
        engine: Engine | None = None,
        pretraining: Sequence[Row] = (),
        sources: Mapping[Dialogue, str] | None = None,
    ) -> None:
        if (config.baseline == "value") != (value is not None):
            raise ConfigError(f"baseline={config.baseline}, and a value model is {'' if value else 'not '}given")
        fit = None
        if value is not None:
            fit = ValueFit(
                value,
                config.value,
                steps=config.steps,
                updates_per_step=1,
                clip=config.value_clip,
                head_passes=config.head_passes,
                normalise=config.normalise_values,
            )
        self.baseline = torch.zeros(2, dtype=torch.float64)  # weight of the replies so far, their weighted sum
        super().__init__(
            policy,
            reference,
            scorer,
            prompts,
            encoder,
            config,
            seed=seed,
            value=fit,
            value_warmup_steps=config.value_warmup_steps,
            score_offset=score_offset,
            engine=engine,
            pretraining=pretraining,
            sources=sources,
        )

    def _credit(self, experience: RolloutBatch, rewards: Float[Tensor, "sample token"]) -> Advantages:
        """Rewards less what was to be expected."""
        mask, targets = experience.mask, None
        if self.value_fit is None:
            of_replies = rewards.sum(-1)
            baseline = self._running_mean(of_replies)
            advantages = (of_replies - baseline)[:, None].expand(-1, mask.shape[1])
            metrics = {"baseline": baseline}
        else:
            returns = rewards_to_go(rewards, mask)
            advantages = returns - self.value_fit.read(experience)
            metrics = self.value_fit.describe(experience, returns)
            targets = self.value_fit.targets(experience, returns)
        metrics["advantage_std"] = float(advantages[mask].std(correction=0))
        if self.config.whiten_advantages:
            advantages = masked_whiten(advantages, mask)
        return Advantages(advantages, targets, metrics)

    def _running_mean(self, rewards: Float[Tensor, " sample"]) -> float:
        """The mean over earlier steps, which then takes in this one; the first step is its own baseline.

        Taking a batch's own mean shrinks its gradient by one part in its number of replies, and does nothing else.
        """
        own = torch.tensor([len(rewards), float(rewards.double().sum())], dtype=torch.float64)
        before = own if self.baseline[0] == 0 else self.baseline
        self.baseline = (
            1.0 if self.config.baseline_decay is None else self.config.baseline_decay
        ) * self.baseline + own
        return float(before[1] / before[0])

    def _losses(self, logp: Float[Tensor, " item"], part: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """Minus advantage times log-probability, summed over each reply."""
        return part.per_reply(reinforce_loss(logp, part.advantages)), {}

    def state(self) -> dict[str, Tensor]:
        """The shared state and the running baseline."""
        return super().state() | {"baseline": self.baseline.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        super().load_state(state)
        self.baseline = state["baseline"].clone()
