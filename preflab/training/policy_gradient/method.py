"""What one policy-gradient method is to the training loop: its advantages, its loss, and what it remembers.

A method is one small file: a frozen config, and a class that satisfies ``PolicyGradientMethod``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.data.rows import RowBatch
from preflab.training.policy_gradient.config import PolicyGradientConfig
from preflab.training.policy_gradient.rollout_batch import RolloutBatch
from preflab.training.policy_gradient.value import ValueFit, ValueTargets


@dataclass(frozen=True)
class Advantages:
    """What a method makes of a step's rewards; constants of the update."""

    advantages: Float[Tensor, "sample token"]
    targets: ValueTargets | None = None
    """For the value model, where there is one."""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Minibatch:
    """The reply tokens of one forward pass of an update, as they were when the update began."""

    row_batch: RowBatch
    logp_old: Float[Tensor, " item"]
    advantages: Float[Tensor, " item"]

    def first_per_reply(self, values: Float[Tensor, " item"]) -> Float[Tensor, " reply"]:
        """Once per reply, a number that all of its tokens share."""
        reply_of = self.row_batch.reply_of
        is_first = torch.cat([reply_of.new_ones(1), reply_of.diff()]) > 0
        return values[is_first.to(values.device)]


@runtime_checkable
class PolicyGradientMethod(Protocol):
    """PPO, RLOO, REINFORCE, or one of your own."""

    @property
    def config(self) -> PolicyGradientConfig:
        """Settings that every method has; a method's config may have more."""
        ...

    @property
    def epochs(self) -> int:
        """Passes over each batch of rollouts."""
        ...

    @property
    def minibatches(self) -> int:
        """Optimiser steps per pass, at most one a prompt."""
        ...

    @property
    def value_fit(self) -> ValueFit | None:
        """The value model in training; None for a method without one."""
        ...

    @property
    def value_warmup_steps(self) -> int:
        """First steps that train the value model alone."""
        ...

    @property
    def per_reply(self) -> bool:
        """Whether a minibatch's losses are divided by its number of replies; otherwise by its number of tokens."""
        ...

    def advantages(self, batch: RolloutBatch, rewards: Float[Tensor, "sample token"]) -> Advantages:
        """The advantage of every sampled token, and the value model's targets.

        ``rewards`` are the score at the last token of a reply, less the KL penalty of every token. It is called once
        a step, before the update, and may change what the method remembers.
        """
        ...

    def losses(self, logp: Float[Tensor, " item"], minibatch: Minibatch) -> tuple[Tensor, dict[str, float]]:
        """One loss per token or per reply (``per_reply``), with gradient; means over them for the log."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What the method remembers between steps, value model included; names as in the run's checkpoint."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state`` gave; other names are passed over."""
        ...
