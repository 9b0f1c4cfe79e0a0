"""What a model must be like for rows: it honours positions and masks, and its logits are its output layer's."""

from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from jaxtyping import Int
from torch import Tensor, nn

from preflab.errors import ModelError
from preflab.models.row_attention.attention import run_body, to_device


def body_of(model: Any) -> Any:
    """The part of a causal language model below its output layer."""
    return model.base_model  # transformers' own name for it


def linear_names(model: Any) -> list[str]:
    """Last path component of every linear layer but the output layer."""
    out = model.get_output_embeddings()
    kinds = (nn.Linear,)
    names = {n.rsplit(".", 1)[-1] for n, m in model.named_modules() if isinstance(m, kinds) and m is not out}
    names |= {n.rsplit(".", 1)[-1] for n, m in model.named_modules() if type(m).__name__ == "Conv1D"}
    return sorted(names)


class LogitShape(TypedDict):
    """How logits follow from ``hidden @ unembedding.T``: times ``scale``, then capped."""

    softcap: float | None
    scale: float


def logit_shape(config: object) -> LogitShape:
    """How a family changes its logits after the output layer (Gemma caps, Granite and Cohere scale)."""
    scale = 1.0
    if (divisor := getattr(config, "logits_scaling", None)) is not None:
        scale = 1.0 / float(divisor)
    elif (factor := getattr(config, "logit_scale", None)) is not None:
        scale = float(factor)
    cap = getattr(config, "final_logit_softcapping", None)
    return {"softcap": float(cap) if cap else None, "scale": scale}


@dataclass(frozen=True)
class Probe:
    """A row with a prefix of four tokens and two branches of four, to try a model out on."""

    ids: Int[Tensor, "1 token"]
    positions: Int[Tensor, "1 token"]
    subtree_start: Int[Tensor, " token"]
    subtree_end: Int[Tensor, " token"]
    read_at: Int[Tensor, " reply"]
    predict_at: Int[Tensor, " item"]
    targets: Int[Tensor, " item"]
    lengths: tuple[int, ...] = (12,)

    @classmethod
    def for_model(cls, model: Any) -> "Probe":
        """Tokens that the model's vocabulary holds."""
        vocabulary = int(model.get_input_embeddings().weight.shape[0])
        tokens = [(7 * i + k) % min(vocabulary, 200) for k in (3, 5, 11) for i in range(4)]
        return cls(
            ids=torch.tensor([tokens]),
            positions=torch.tensor([[*range(8), *range(4, 8)]]),
            subtree_start=torch.tensor([0] * 4 + [1] * 4 + [2] * 4),  # the prefix is 0, its branches 1 and 2
            subtree_end=torch.tensor([3] * 4 + [2] * 4 + [3] * 4),
            read_at=torch.tensor([7, 11]),
            predict_at=torch.tensor([3, 4, 5, 6, 3, 8, 9, 10]),
            targets=torch.tensor(tokens[4:]),
        )


def check_row_support(model: Any) -> None:
    """Run a small branched row and its branches alone; refuse a model that tells them apart.

    Raises:
        ModelError: the model does not honour positions and masks (recurrent layers, ALiBi, sliding
            windows that ignore the mask), or its logits are not its output layer's.
    """
    embeddings = model.get_input_embeddings()
    probe = to_device(Probe.for_model(model), embeddings.weight.device)
    with torch.no_grad():
        branched = run_body(model, probe, input_ids=probe.ids)[0]
        alone_ids = torch.cat([probe.ids[:, :4], probe.ids[:, 8:]], dim=1)  # the prefix and the second branch
        full = model(input_ids=alone_ids, use_cache=False, output_hidden_states=True)
        alone = full.hidden_states[-1][0]
        logits = branched[8:].to(embeddings.weight.dtype) @ model.get_output_embeddings().weight.T
        shape = logit_shape(model.config)
        final_logits = logits.float() * shape["scale"]
        if shape["softcap"]:
            final_logits = shape["softcap"] * torch.tanh(final_logits / shape["softcap"])
    tolerance = 0.15 if embeddings.weight.dtype != torch.float32 else 1e-3
    size = alone[4:].float().abs().mean()
    if (branched[8:].float() - alone[4:].float()).abs().mean() > tolerance * size:
        raise ModelError(
            f"{type(model).__name__} gives other numbers for a row with branches than for its branches alone; "
            "it ignores custom positions or masks, and cannot be used here yet"
        )
    if (final_logits - full.logits[0, 4:].float()).abs().mean() > tolerance * full.logits.float().abs().mean():
        raise ModelError(f"{type(model).__name__}: its logits are not its output layer times its hidden state")
