"""What every fit to given rows shares: the order of batches, their split into forward passes, and what is saved.

The order is a function of the seed and the step alone, so a resume needs no cursor: nothing is repeated or skipped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from preflab import distributed
from preflab.checkpoint import strip_prefix, with_prefix
from preflab.data.rows import Row, RowBatch, batches_by_length, collate
from preflab.errors import ConfigError
from preflab.models.roles import Role
from preflab.training.optimiser import Optimiser


@dataclass(frozen=True, kw_only=True)
class BatchOrder:
    """Passes over ``n_items`` things, ``batch`` at a time; the last batch of a pass may be smaller.

    Raises:
        ConfigError: a count is below one.
    """

    n_items: int
    batch: int
    epochs: int
    seed: int

    def __post_init__(self) -> None:
        if min(self.n_items, self.batch, self.epochs) < 1:
            raise ConfigError(f"epochs and the size of a batch must be at least 1, got {self.epochs} and {self.batch}")

    @property
    def steps_per_epoch(self) -> int:
        """Batches in a pass."""
        return -(-self.n_items // self.batch)

    @property
    def total_steps(self) -> int:
        """Batches in all passes."""
        return self.epochs * self.steps_per_epoch

    def at(self, step: int) -> list[int]:
        """Which items step number ``step`` (from 0) sees; every pass sees each once, in an order of its own."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = torch.randperm(self.n_items, generator=torch.Generator().manual_seed(self.seed * 10_007 + epoch))
        return order[within * self.batch : (within + 1) * self.batch].tolist()


def shuffled_stream(n_items: int, positions: range, *, seed: int) -> list[int]:
    """Items at some positions of an endless stream: all ``n_items`` in random order, then all again in another.

    A function of the seed and of where in the stream we stand, so that a resume needs no cursor of its own.
    """
    orders: dict[int, list[int]] = {}
    for epoch in {position // n_items for position in positions}:
        generator = torch.Generator().manual_seed(seed * 10_007 + epoch)
        orders[epoch] = torch.randperm(n_items, generator=generator).tolist()
    return [orders[position // n_items][position % n_items] for position in positions]


def forward_passes(
    rows: Sequence[Row], row_indices: Sequence[int], *, max_tokens: int
) -> Iterator[tuple[list[int], RowBatch]]:
    """Some rows in batches that fit into memory, dealt out to all processes: their indices, and the rows collated.

    A process that has fewer than others is handed a row with no indices: it runs it for nothing
    (``keep_collectives_aligned``), since sharded models run on all processes at once.
    """
    lengths = [len(rows[i]) for i in row_indices]
    room = distributed.tokens_per_rank(max_tokens, sum(lengths))
    for batch in distributed.shard_batches(list(batches_by_length(lengths, max_tokens=room))):
        pass_rows = [row_indices[k] for k in batch]
        yield pass_rows, collate([rows[i] for i in pass_rows or row_indices[:1]])


def keep_collectives_aligned(numbers: Tensor) -> None:
    """The backward pass of a process that had nothing to do: it adds nothing."""
    (0.0 * numbers.sum()).backward()  # type: ignore[no-untyped-call]


def fit_state(role: Role, optimiser: Optimiser) -> dict[str, Tensor]:
    """Weights and optimiser as tensors that safetensors can hold."""
    return with_prefix("weights/", role.state()) | with_prefix("optimiser/", optimiser.state())


def load_fit_state(role: Role, optimiser: Optimiser, state: Mapping[str, Tensor]) -> None:
    """Put back what ``fit_state`` gave."""
    role.load_state(strip_prefix(state, "weights/"))
    optimiser.load_state(strip_prefix(state, "optimiser/"))
