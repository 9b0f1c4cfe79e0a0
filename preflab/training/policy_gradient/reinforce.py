"""REINFORCE with a baseline: one plain policy-gradient step on each batch of rollouts (Williams 1992).

Two baselines. ``mean``: the mean reward of all replies of earlier steps; the advantage of every token is its whole
reply's reward less that. ``value``: a value model; the advantage of a token is the sum of the rewards from it on, less
the value before it. No ratio, no clip, hence one update per batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.checks import check_above, check_at_least, refuse_unread
from preflab.errors import ConfigError
from preflab.maths.policy import masked_whiten, reinforce_loss
from preflab.maths.returns import rewards_to_go
from preflab.models.roles import Role
from preflab.training.optimiser import OptimiserConfig
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.method import Advantages, Minibatch
from preflab.training.policy_gradient.rollout_batch import RolloutBatch
from preflab.training.policy_gradient.value import ValueFit, ValueFitConfig


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
    value_head_updates: int = 16
    """Where the value model is only a head: updates of it per step."""
    value: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-4, schedule="constant"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline_decay is not None and not 0.0 <= self.baseline_decay < 1.0:
            raise ConfigError(f"baseline_decay must be in [0, 1) or null, got {self.baseline_decay}")
        check_at_least(self, 1, "value_head_updates")
        check_at_least(self, 0, "value_warmup_steps")
        check_above(self, 0, "value_clip")
        if self.baseline == "value":
            refuse_unread(self, "baseline=value", "baseline_decay")
        else:
            refuse_unread(self, "baseline=mean", "value_clip", "normalise_values")
        if self.value_warmup_steps and self.baseline != "value":
            raise ConfigError("value_warmup_steps trains a value model; it needs baseline=value")


@final
class Reinforce:
    """REINFORCE; ``value`` goes with ``baseline=value``.

    Raises:
        ConfigError: the baseline needs a value model that is not given, or the other way round.
    """

    per_reply = True
    epochs = 1
    minibatches = 1

    def __init__(self, config: ReinforceConfig, value: Role | None = None) -> None:
        if (config.baseline == "value") != (value is not None):
            raise ConfigError(f"baseline={config.baseline}, and a value model is {'' if value else 'not '}given")
        self.config, self.value_warmup_steps = config, config.value_warmup_steps
        self.baseline = RunningBaseline(config.baseline_decay)
        self.value_fit: ValueFit | None = None
        if value is not None:
            settings = ValueFitConfig(
                optimiser=config.value,
                clip=config.value_clip,
                head_updates=config.value_head_updates,
                normalise=config.normalise_values,
            )
            self.value_fit = ValueFit(value, settings, steps=config.steps, updates_per_step=1)

    def advantages(self, batch: RolloutBatch, rewards: Float[Tensor, "sample token"]) -> Advantages:
        """Rewards less the baseline."""
        mask, fit, targets = batch.mask, self.value_fit, None
        if fit is None:
            reply_rewards = rewards.sum(-1)
            baseline = self.baseline.update(reply_rewards)
            advantages = (reply_rewards - baseline)[:, None].expand(-1, mask.shape[1])
            metrics = {"baseline": baseline}
        else:
            returns = rewards_to_go(rewards, mask)
            advantages = returns - fit.predict(batch)
            metrics = fit.metrics(batch, returns)
            targets = fit.targets(batch, returns)
        metrics["advantage_std"] = float(advantages[mask].std(correction=0))
        if self.config.whiten_advantages:
            advantages = masked_whiten(advantages, mask)
        return Advantages(advantages, targets, metrics)

    def losses(self, logp: Float[Tensor, " item"], minibatch: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """Minus advantage times log-probability, summed over each reply."""
        return minibatch.row_batch.sum_per_reply(reinforce_loss(logp, minibatch.advantages)), {}

    def state(self) -> dict[str, Tensor]:
        """The running baseline, and the value model's where there is one."""
        value_state = {} if self.value_fit is None else self.value_fit.state()
        return value_state | {"baseline": self.baseline.sums.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.baseline.sums = state["baseline"].clone()
        if self.value_fit is not None:
            self.value_fit.load_state(state)


class RunningBaseline:
    """Mean reward of the replies of earlier steps; with a ``decay`` below 1 recent steps weigh more."""

    def __init__(self, decay: float | None = None) -> None:
        self.decay = 1.0 if decay is None else decay
        self.sums = torch.zeros(2, dtype=torch.float64)  # weight of the replies so far, their weighted sum

    def update(self, rewards: Float[Tensor, " sample"]) -> float:
        """The mean over earlier steps, which then takes in this one; the first step is its own baseline.

        Taking a batch's own mean shrinks its gradient by one part in its number of replies, and does nothing else.
        """
        step_sums = torch.tensor([len(rewards), float(rewards.double().sum())], dtype=torch.float64)
        before = step_sums if self.sums[0] == 0 else self.sums
        self.sums = self.decay * self.sums + step_sums
        return float(before[1] / before[0])
