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
from preflab.data.rows import RowBatch
from preflab.maths.policy import masked_mean, value_clip_fraction, value_loss
from preflab.models.roles import Role
from preflab.training.optimiser import Optimiser, OptimiserConfig
from preflab.training.policy_gradient.rollout_batch import RolloutBatch, Where


@dataclass(frozen=True)
class Targets:
    """What the value model is trained on, in its own units; [sample token], frozen."""

    old: Float[Tensor, "sample token"]
    """Its readings before the update."""
    returns: Float[Tensor, "sample token"]


class RunningScale:
    """Mean and deviation of returns over the steps so far, recent ones weighing more (decay 0.99 a step)."""

    DECAY = 0.99

    def __init__(self) -> None:
        self.moments = torch.zeros(3, dtype=torch.float64)  # weight seen, mean and mean square times that weight

    def update(self, returns: Float[Tensor, "sample token"], mask: Bool[Tensor, "sample token"]) -> None:
        """Take in a step's returns."""
        own = returns.double()
        new = torch.stack(
            [torch.ones((), dtype=torch.float64), masked_mean(own, mask), masked_mean(own.square(), mask)]
        )
        self.moments = self.DECAY * self.moments + (1 - self.DECAY) * new.cpu()

    @property
    def mean_and_deviation(self) -> tuple[float, float]:
        """0 and 1 before the first update."""
        weight, first, second = self.moments.tolist()
        if weight == 0:
            return 0.0, 1.0
        mean = first / weight
        return mean, max(second / weight - mean * mean, 1e-8) ** 0.5


class ValueFit:
    """A value model in training.

    Args:
        clip         of the value loss, in the units the model is trained in; None for no clipping.
        head_passes  updates per step of a model that is only a head.
        normalise    train the model on returns with their running mean taken out and their running deviation divided
                     out, and undo both where it is read; otherwise on returns as they are.
    """

    def __init__(
        self,
        role: Role,
        optimiser: OptimiserConfig,
        *,
        steps: int,
        updates_per_step: int,
        clip: float | None,
        head_passes: int,
        normalise: bool = False,
    ) -> None:
        self.role, self.clip, self.head_passes = role, clip, head_passes
        per_step = head_passes if role.is_only_head else updates_per_step
        self.optimiser = Optimiser(role.weights(), optimiser, total_steps=steps * per_step)
        self.scale = RunningScale() if normalise else None

    def read(self, experience: RolloutBatch) -> Float[Tensor, "sample token"]:
        """Values in reward units."""
        assert experience.values is not None
        mean, deviation = self.scale.mean_and_deviation if self.scale else (0.0, 1.0)
        return experience.values * deviation + mean

    def targets(self, experience: RolloutBatch, returns: Float[Tensor, "sample token"]) -> Targets:
        """What to train on; the running scale takes in these returns first."""
        values = self.read(experience)
        if self.scale is None:
            return Targets(values, returns)
        self.scale.update(returns, experience.mask)
        mean, deviation = self.scale.mean_and_deviation
        return Targets((values - mean) / deviation, (returns - mean) / deviation)

    def add_gradient(
        self,
        targets: Targets,
        together: RowBatch,
        where: Where,
        n_items: int,
        kept: Float[Tensor, " item"] | None,
    ) -> dict[str, float]:
        """One forward and backward pass of a whole value model; ``kept`` is the forward pass, if it has been run."""
        values = self.role.values(together) if kept is None else kept
        old, returns = (grid[where].to(values.device) for grid in (targets.old, targets.returns))
        loss = value_loss(values, old, returns, clip=self.clip)
        (loss.sum() / n_items).backward()  # type: ignore[no-untyped-call]
        clipped = value_clip_fraction(values.detach(), old, returns, clip=self.clip)
        return {
            "value_loss": float(loss.detach().sum()) / n_items,
            "value_clip_fraction": float(clipped) * len(old) / n_items,
            "trained_tokens": float(together.n_tokens),
        }

    def step(self) -> dict[str, float]:
        """Update a whole value model."""
        return {"value_gradient_norm": self.optimiser.step()["gradient_norm"]}

    def fit_head(self, experience: RolloutBatch, targets: Targets) -> dict[str, float]:
        """Several updates of a value head over all hidden states of the step at once."""
        assert experience.features is not None
        mask = experience.mask
        grids = experience.features, targets.old, targets.returns
        features, old, returns = (grid[mask].to(self.role.device) for grid in grids)
        found: dict[str, float] = {}
        for n in range(self.head_passes):
            values = self.role.head(features)
            loss = value_loss(values, old, returns, clip=self.clip).mean()
            (loss / distributed.world_size()).backward()  # type: ignore[no-untyped-call]  # every process sees all of it
            if n == 0:
                found["value_loss"] = float(loss.detach())
            found["value_clip_fraction"] = float(value_clip_fraction(values.detach(), old, returns, clip=self.clip))
            found |= self.step()
        return found

    def describe(self, experience: RolloutBatch, returns: Float[Tensor, "sample token"]) -> dict[str, float]:
        """How well the model foresaw the returns, before the update."""
        mask, values = experience.mask, self.read(experience)
        error, spread = (returns - values)[mask].var(correction=0), returns[mask].var(correction=0)
        return {
            "value_mean": float(masked_mean(values, mask)),
            "return_mean": float(masked_mean(returns, mask)),
            "explained_variance": float(1 - error / spread) if spread > 0 else 0.0,
        }

    def state(self) -> dict[str, Tensor]:
        """Weights, optimiser and scale."""
        flat = {f"value/{k}": v for k, v in self.role.state().items()}
        flat |= {f"value_optimiser/{k}": v for k, v in self.optimiser.state().items()}
        return flat | ({"value_scale": self.scale.moments.clone()} if self.scale else {})

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.role.load_state(part_of(state, "value"))
        self.optimiser.load_state(part_of(state, "value_optimiser"))
        if self.scale is not None:
            self.scale.moments = state["value_scale"].clone()


def part_of(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors under ``name/``, by their names below it."""
    return {k.removeprefix(f"{name}/"): v for k, v in state.items() if k.startswith(f"{name}/")}
