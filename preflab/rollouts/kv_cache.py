"""Keys and values while sampling: room for all of them from the start, written in place, never copied as a whole."""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers.cache_utils import Cache, CacheLayerMixin

Prompts = Sequence[tuple[list[int], int]]
"""Of each prompt that lies in a sequence, end to end: the samples that begin with it, and its tokens."""


def cache_argument(body: nn.Module) -> str:
    """What a model calls the cache that it is given: ``past_key_values``, or ``cache`` since transformers 5.24.

    Under its earlier name a newer model takes the cache too, and warns at the terminal.
    """
    return "cache" if "cache" in inspect.signature(body.forward).parameters else "past_key_values"


class PreallocatedLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not typed
    """One layer's keys and values, [sample head room dim]; the first ``samples`` and ``length`` columns are in use.

    Every prompt ends in column ``width - 1``. What lies before it is zero.
    """

    is_sliding = False

    keys: Tensor
    values: Tensor

    def __init__(self, *, samples: int, width: int, room: int) -> None:
        super().__init__()
        self.samples, self.length, self.room = samples, width, room
        self.prompts: Prompts | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make the room, once the shapes are known."""
        self.keys, self.values = (
            states.new_zeros(self.samples, states.shape[1], self.room, states.shape[3])
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self,
        key_states: Float[Tensor, "row head token dim"],
        value_states: Float[Tensor, "row head token dim"],
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Keep prompts for the samples that begin with them, or one more token of every sample.

        Returns:
            what the tokens just given may see: prompts themselves, samples all they hold so far.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.prompts is not None:
            self._keep(self.prompts, key_states, value_states)
            return key_states, value_states
        self.keys[: self.samples, :, self.length] = key_states[:, :, 0]
        self.values[: self.samples, :, self.length] = value_states[:, :, 0]
        self.length += 1
        return self.keys[: self.samples, :, : self.length], self.values[: self.samples, :, : self.length]

    def _keep(self, prompts: Prompts, keys: Tensor, values: Tensor) -> None:
        start = 0
        for samples, tokens in prompts:
            source = slice(start, start := start + tokens)
            target = slice(self.length - tokens, self.length)
            for sample in samples:
                self.keys[sample, :, target] = keys[0, :, source]
                self.values[sample, :, target] = values[0, :, source]

    def select(self, order: Sequence[int]) -> None:
        """Keep the samples in ``order``, in that order; only those that change places are copied.

        Raises:
            IndexError: a sample is asked for that is not there.
        """
        if order and max(order) >= self.samples:
            raise IndexError(f"sample {max(order)} of {self.samples}")
        to = [i for i, sample in enumerate(order) if i != sample]
        come = [order[i] for i in to]
        for states in (self.keys, self.values):
            states[to, :, : self.length] = states[come, :, : self.length]
        self.samples = len(order)

    def get_seq_length(self) -> int:
        """Columns filled."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns a query of this length sees, and where they begin."""
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        """Columns there is room for."""
        return self.room


class PreallocatedCache(Cache):  # type: ignore[misc]  # transformers is not typed
    """The cache of a model of ``depth`` layers for samples whose prompts end in column ``width``."""

    def __init__(self, depth: int, *, samples: int, width: int, room: int) -> None:
        super().__init__(layers=[PreallocatedLayer(samples=samples, width=width, room=room) for _ in range(depth)])

    @contextlib.contextmanager
    def prompts(self, prompts: Prompts) -> Iterator[None]:
        """A block in which the model runs over these prompts, laid end to end in one sequence."""
        self._expect(prompts)
        try:
            yield
        finally:
            self._expect(None)

    def select(self, order: Sequence[int]) -> None:
        """Keep the samples in ``order``, in that order."""
        for layer in self.layers:
            layer.select(order)

    def _expect(self, prompts: Prompts | None) -> None:
        for layer in self.layers:
            layer.prompts = prompts
