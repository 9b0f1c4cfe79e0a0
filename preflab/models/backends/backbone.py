"""What roles need of a network. `causal.CausalBackbone` has it; encoders and encoder-decoders can have it too."""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.models.backends.shared_layers import LayerSplit
from preflab.models.row_attention.attention import DeviceBatch, Rows
from preflab.models.row_attention.row_support import LogitShape


@runtime_checkable
class Backbone(Protocol):
    """A network that turns rows of tokens into hidden states, with an output layer over its vocabulary."""

    @property
    def model(self) -> Any:
        """The transformers model. peft puts adapters into it in place."""
        ...

    @property
    def hidden_size(self) -> int:
        """Width of a hidden state."""
        ...

    @property
    def depth(self) -> int:
        """Number of layers."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        ...

    @property
    def adaptable_layers(self) -> list[str]:
        """Last path component of every linear layer that an adapter may change."""
        ...

    @property
    def output_weight(self) -> Float[Tensor, "vocab hidden"]:
        """The output layer (unembedding)."""
        ...

    @property
    def logit_shape(self) -> LogitShape:
        """How logits follow from hidden states times the output layer."""
        ...

    def to_device(self, rows: Rows) -> DeviceBatch:
        """A batch as `hidden` takes it."""
        ...

    def hidden(self, batch: DeviceBatch) -> Float[Tensor, "1 token hidden"]:
        """Last hidden state of every token; a token attends to its ancestors in its row and to nothing else."""
        ...

    def split_below(self, top_layers: int) -> LayerSplit | None:
        """The network in two halves, the upper one of ``top_layers`` layers; None if the halves give other numbers."""
        ...

    def trainable_copy(self) -> "Backbone":
        """A full copy in fp32 with weights of its own that take gradients; not sharded. All processes must ask."""
        ...

    def shard(self) -> None:
        """Spread the weights over the processes, in place."""
        ...
