"""A key-value cache that is allocated once, written in place, and gives up the rows of finished samples."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class RoomyLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not typed
    """One layer's keys and values, [sample heads room dim]; the first ``length`` columns are filled."""

    is_sliding = False

    keys: Tensor
    values: Tensor

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.length = room, 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate for the batch of the first call."""
        batch, heads, _, _ = key_states.shape
        self.keys = key_states.new_empty(batch, heads, self.room, key_states.shape[-1])
        self.values = value_states.new_empty(batch, heads, self.room, value_states.shape[-1])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write behind what is there; return everything so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[-2]
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def select(self, index: Tensor, *, room: int | None = None) -> None:
        """Keep (or repeat) the samples in ``index``, in that order; optionally in a larger room."""
        self.room = room or self.room
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty(len(index), old.shape[1], self.room, old.shape[3])
            new[:, :, : self.length] = old[index, :, : self.length]
            setattr(self, name, new)

    def get_seq_length(self) -> int:
        """Columns filled."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns a query of this length sees, and where they begin."""
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        """Columns there is room for."""
        return self.room


def roomy_cache(layers: int, room: int) -> Cache:
    """A cache for a model of this many layers."""
    return Cache(layers=[RoomyLayer(room) for _ in range(layers)])


def select(cache: Cache, index: Tensor, *, room: int | None = None) -> None:
    """Keep or repeat samples in every layer."""
    with torch.no_grad():
        for layer in cache.layers:
            assert isinstance(layer, RoomyLayer)
            layer.select(index, room=room)
