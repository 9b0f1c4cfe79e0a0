"""Supervised fine-tuning: make given replies more probable, token by token.

Stiennon et al. 2020 (sec. 3.4, app. B.1: one epoch, cosine) and Ouyang et al. 2022 (InstructGPT, sec. 3.5 and app. C.1:
16 epochs, cosine to 10 % without warm-up, residual dropout 0.2). Only reply tokens count, those that end a turn
included. A row may hold several replies to one prompt, or a dialogue with every turn of the assistant to learn from.

InstructGPT's mix of pre-training text into the 2-epoch model that PPO starts from is not here: rows of plain text
with a coefficient of their own belong to PPO-ptx. Dropout is off, as everywhere here: Llama and its kin have none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from preflab import distributed
from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.data.rows import Row
from preflab.errors import DataError
from preflab.models.roles import Role
from preflab.training.batch_order import BatchOrder, fit_state, forward_passes, keep_collectives_aligned, load_fit_state
from preflab.training.optimiser import Optimiser, OptimiserConfig


@dataclass(frozen=True, kw_only=True)
class SFTConfig:
    """How a policy is fitted to replies. The schedule is the papers'; the rate is for adapters.

    For whole weights the papers use far smaller rates: 6.35e-5 at 1.3 B (Stiennon et al.), 9.65e-6 at 1.3 B and 6 B
    (Ouyang et al.), both after a sweep.
    """

    epochs: int = 1
    """Ouyang et al. take 16 for their baseline and 2 before PPO: loss on unseen replies is least near 1, yet people
    and preference models like later ones better."""
    batch_rows: int = 32
    """Rows per optimiser step (Ouyang et al.: 32; Stiennon et al.: 128)."""
    max_tokens: int = 2048
    """Tokens per forward pass."""
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-4))

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "epochs", "batch_rows", "max_tokens")


@dataclass(frozen=True)
class SFTStep:
    """What one optimiser step saw, before its update."""

    step: int
    loss: float
    """Nats per reply token, over all reply tokens of the batch."""
    n_rows: int
    n_replies: int
    reply_tokens: int
    """Tokens that were learned from."""
    n_tokens: int
    """Tokens run, each prefix once."""
    gradient_norm: float
    learning_rate: float


class SFTTraining:
    """A fit in progress. Iterate it for steps; ``state`` between steps is all that a resume needs.

    Raises:
        DataError: no row has a reply.
    """

    def __init__(self, role: Role, rows: Sequence[Row], config: SFTConfig, *, seed: int) -> None:
        self.rows = [row for row in rows if row.replies]
        if not self.rows:
            raise DataError("no row has a reply to learn from")
        self.n_without_replies = len(rows) - len(self.rows)
        self.role, self.config = role, config
        self.order = BatchOrder(n_items=len(self.rows), batch=config.batch_rows, epochs=config.epochs, seed=seed)
        self.total_steps = self.order.total_steps
        self.optimiser = Optimiser(role.weights(), config.optimiser, total_steps=self.total_steps)

    def __iter__(self) -> Iterator[SFTStep]:
        """From wherever the state stands to the end."""
        while self.optimiser.step_count < self.total_steps:
            yield self._step(self.order.at(self.optimiser.step_count))

    def _step(self, chosen: list[int]) -> SFTStep:
        reply_tokens = sum(len(self.rows[i].segments[s]) for i in chosen for s in self.rows[i].replies)
        sums = {"loss": 0.0, "tokens": 0.0}
        for numbers, batch in forward_passes(self.rows, chosen, max_tokens=self.config.max_tokens):
            logp = self.role.logprobs(batch)[0]
            if not numbers:
                keep_collectives_aligned(logp)
                continue
            share = -logp.sum() / reply_tokens  # of the whole batch, however it is split
            share.backward()  # type: ignore[no-untyped-call]
            sums["loss"] += float(share.detach())
            sums["tokens"] += batch.n_tokens
        sums = distributed.all_reduce_metrics(sums)
        update = self.optimiser.step()
        return SFTStep(
            step=self.optimiser.step_count,
            loss=sums["loss"],
            n_rows=len(chosen),
            n_replies=sum(len(self.rows[i].replies) for i in chosen),
            reply_tokens=reply_tokens,
            n_tokens=int(sums["tokens"]),
            **update,
        )

    def state(self) -> dict[str, Tensor]:
        """Weights and optimiser."""
        return fit_state(self.role, self.optimiser)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        load_fit_state(self.role, self.optimiser, state)
