"""What passes between a run and its method: a step's report, each token's credit, and the parts of an update."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.data.rows import RowBatch
from preflab.training.policy_gradient.value import Targets


@dataclass(frozen=True)
class PolicyStep:
    """One step's measurements, before its update; per reply or per token as named."""

    step: int
    metrics: dict[str, float]
    rollouts: list[tuple[Dialogue, str, float]]
    """Prompt, reply text, score."""
    stopped: str = ""
    """Why the run ends here, if it does before its time."""


@dataclass(frozen=True)
class Advantages:
    """What a method makes of a step's rewards; all of it frozen."""

    advantages: Float[Tensor, "sample token"]
    targets: Targets | None = None
    """For the value model, where there is one."""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Minibatch:
    """The reply tokens of one forward pass, as they were when the update began."""

    batch: RowBatch
    logp_old: Float[Tensor, " item"]
    advantages: Float[Tensor, " item"]

    def per_reply(self, of_items: Float[Tensor, " item"]) -> Float[Tensor, " reply"]:
        """Sums over each reply's tokens."""
        reply_of = self.batch.reply_of.to(of_items.device)
        return of_items.new_zeros(self.batch.n_replies).index_add(0, reply_of, of_items)

    def of_reply(self, of_items: Float[Tensor, " item"]) -> Float[Tensor, " reply"]:
        """What every token of a reply has alike, once."""
        first = torch.cat([self.batch.reply_of.new_ones(1), self.batch.reply_of.diff()]) > 0
        return of_items[first.to(of_items.device)]
