"""A causal language model of transformers as a backbone."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.models.backends.shared_layers import LayerSplit, find_split
from preflab.models.parallel import full_copy, shard
from preflab.models.row_attention.attention import NAME, DeviceBatch, Rows, run_body, to_device
from preflab.models.row_attention.row_support import (
    LogitShape,
    Probe,
    body_of,
    check_row_support,
    linear_names,
    logit_shape,
)


class CausalBackbone:
    """See `Backbone`. Layer names are read before peft wraps the layers."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.adaptable_layers = linear_names(model)

    @classmethod
    def prepare(cls, model: Any) -> "CausalBackbone":
        """Give the model row attention and freeze its weights.

        Raises:
            ModelError: the model does not honour masks or positions, or its logits are not its output layer's.
        """
        model.requires_grad_(False)
        model.set_attn_implementation(NAME)
        check_row_support(model)
        return cls(model)

    @property
    def hidden_size(self) -> int:
        """Width of a hidden state."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    @property
    def depth(self) -> int:
        """Number of layers."""
        return int(self.model.config.num_hidden_layers)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def output_weight(self) -> Float[Tensor, "vocab hidden"]:
        """The output layer (unembedding)."""
        weight: Tensor = self.model.get_output_embeddings().weight
        return weight

    @property
    def logit_shape(self) -> LogitShape:
        """How logits follow from hidden states times the output layer."""
        return logit_shape(self.model.config)

    def to_device(self, rows: Rows) -> DeviceBatch:
        """The batch on the model's device, with its mask."""
        return to_device(rows, self.device)

    def hidden(self, batch: DeviceBatch) -> Float[Tensor, "1 token hidden"]:
        """Last hidden state of every token; a token attends to its ancestors in its row and to nothing else."""
        return run_body(self.model, batch, input_ids=batch.ids)

    def split_below(self, top_layers: int) -> LayerSplit | None:
        """The body in two halves, the upper one of ``top_layers`` layers; None if the halves give other numbers."""
        probe = self.to_device(Probe.for_model(self.model))
        return find_split(body_of(self.model), self.depth - top_layers, probe)

    def trainable_copy(self) -> "CausalBackbone":
        """A full copy in fp32 with weights of its own that take gradients; not sharded. All processes must ask."""
        return CausalBackbone(full_copy(self.model).float().requires_grad_(True))

    def shard(self) -> None:
        """Spread the weights over the processes, layer by layer, in place."""
        shard(self.model)
