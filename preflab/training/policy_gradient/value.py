"""The value model's part of a run: its targets, its optimiser, and how it is updated.

A value model is either whole (a network or an adapter of its own, updated beside the policy, minibatch by minibatch)
or only a head on a frozen body, which is fitted to all hidden states of a step at once: they are at hand, and a pass
over them costs nothing. It may be a role of another trunk than the policy's, of another size, if both read the same
tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from preflab import distributed
from preflab.checkpoint import strip_prefix, with_prefix
from preflab.data.rows import RowBatch
from preflab.maths.policy import masked_mean, value_clip_fraction, value_loss
from preflab.models.roles import Role
from preflab.training.optimiser import Optimiser, OptimiserConfig
from preflab.training.policy_gradient.rollout_batch import GridIndices, RolloutBatch


@dataclass(frozen=True)
class ValueTargets:
    """What the value model is trained on, in its own units; [sample token], frozen."""

    old: Float[Tensor, "sample token"]
    """Its values before the update."""
    returns: Float[Tensor, "sample token"]


class RunningScale:
    """Mean and deviation of returns over the steps so far, recent ones weighing more (decay 0.99 a step).

    Every step weighs the same, however many tokens it has. `preflab.control.running_stats.RunningMeanStd` counts
    items, does not decay, and keeps its sums in another form: one class for both would change the numbers of one.
    """

    DECAY = 0.99

    def __init__(self) -> None:
        self.moments = torch.zeros(3, dtype=torch.float64)  # weight so far, mean and mean square times that weight

    def update(self, returns: Float[Tensor, "sample token"], mask: Bool[Tensor, "sample token"]) -> None:
        """Take in a step's returns."""
        exact = returns.double()
        step_moments = torch.stack(
            [torch.ones((), dtype=torch.float64), masked_mean(exact, mask), masked_mean(exact.square(), mask)]
        )
        self.moments = self.DECAY * self.moments + (1 - self.DECAY) * step_moments.cpu()

    @property
    def mean_and_deviation(self) -> tuple[float, float]:
        """0 and 1 before the first update."""
        weight, first, second = self.moments.tolist()
        if weight == 0:
            return 0.0, 1.0
        mean = first / weight
        return mean, max(second / weight - mean * mean, 1e-8) ** 0.5


@dataclass(frozen=True, kw_only=True)
class ValueFitConfig:
    """How a value model is trained."""

    optimiser: OptimiserConfig
    clip: float | None = None
    """Of the value loss, in the units the model is trained in; None for no clipping."""
    head_updates: int = 16
    """Updates per step of a model that is only a head."""
    normalise: bool = False
    """Train on returns with their running mean taken out and their running deviation divided out, and undo both where
    values are read; otherwise on returns as they are."""


class ValueFit:
    """A value model in training; ``updates_per_step`` is how often a whole model is updated in a step."""

    def __init__(self, role: Role, config: ValueFitConfig, *, steps: int, updates_per_step: int) -> None:
        self.role, self.config = role, config
        per_step = config.head_updates if role.is_only_head else updates_per_step
        self.optimiser = Optimiser(role.weights(), config.optimiser, total_steps=steps * per_step)
        self.scale = RunningScale() if config.normalise else None

    def predict(self, batch: RolloutBatch) -> Float[Tensor, "sample token"]:
        """Values in units of the reward."""
        assert batch.values is not None
        mean, deviation = self.scale.mean_and_deviation if self.scale else (0.0, 1.0)
        return batch.values * deviation + mean

    def targets(self, batch: RolloutBatch, returns: Float[Tensor, "sample token"]) -> ValueTargets:
        """What to train on; the running scale takes in these returns first."""
        values = self.predict(batch)
        if self.scale is None:
            return ValueTargets(values, returns)
        self.scale.update(returns, batch.mask)
        mean, deviation = self.scale.mean_and_deviation
        return ValueTargets((values - mean) / deviation, (returns - mean) / deviation)

    def add_gradient(
        self,
        targets: ValueTargets,
        row_batch: RowBatch,
        items: GridIndices,
        n_items: int,
        values: Float[Tensor, " item"] | None = None,
    ) -> dict[str, float]:
        """One forward and backward pass of a whole value model.

        Args:
            items    where on the grid the tokens of ``row_batch`` lie.
            n_items  tokens of the whole minibatch, over which the loss is a mean.
            values   of a forward pass that has been run already, with its graph.
        """
        values = self.role.values(row_batch) if values is None else values
        old, returns = (grid[items].to(values.device) for grid in (targets.old, targets.returns))
        loss = value_loss(values, old, returns, clip=self.config.clip)
        (loss.sum() / n_items).backward()  # type: ignore[no-untyped-call]
        clipped = value_clip_fraction(values.detach(), old, returns, clip=self.config.clip)
        return {
            "value_loss": float(loss.detach().sum()) / n_items,
            "value_clip_fraction": float(clipped) * len(old) / n_items,
            "trained_tokens": float(row_batch.n_tokens),
        }

    def step(self) -> dict[str, float]:
        """Update a whole value model."""
        return {"value_gradient_norm": self.optimiser.step()["gradient_norm"]}

    def fit_head(self, batch: RolloutBatch, targets: ValueTargets) -> dict[str, float]:
        """Several updates of a value head over all hidden states of the step at once."""
        assert batch.features is not None
        clip = self.config.clip
        grids = batch.features, targets.old, targets.returns
        features, old, returns = (grid[batch.mask].to(self.role.device) for grid in grids)
        metrics: dict[str, float] = {}
        for update in range(self.config.head_updates):
            values = self.role.head(features)
            loss = value_loss(values, old, returns, clip=clip).mean()
            (loss / distributed.world_size()).backward()  # type: ignore[no-untyped-call]  # every process sees all of it
            if update == 0:
                metrics["value_loss"] = float(loss.detach())
            metrics["value_clip_fraction"] = float(value_clip_fraction(values.detach(), old, returns, clip=clip))
            metrics |= self.step()
        return metrics

    def metrics(self, batch: RolloutBatch, returns: Float[Tensor, "sample token"]) -> dict[str, float]:
        """How well the model foresaw the returns, before the update."""
        mask, values = batch.mask, self.predict(batch)
        error, spread = (returns - values)[mask].var(correction=0), returns[mask].var(correction=0)
        return {
            "value_mean": float(masked_mean(values, mask)),
            "return_mean": float(masked_mean(returns, mask)),
            "explained_variance": float(1 - error / spread) if spread > 0 else 0.0,
        }

    def state(self) -> dict[str, Tensor]:
        """Weights, optimiser and scale."""
        state = with_prefix("value/", self.role.state()) | with_prefix("value_optimiser/", self.optimiser.state())
        return state if self.scale is None else state | {"value_scale": self.scale.moments.clone()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.role.load_state(strip_prefix(state, "value/"))
        self.optimiser.load_state(strip_prefix(state, "value_optimiser/"))
        if self.scale is not None:
            self.scale.moments = state["value_scale"].clone()
