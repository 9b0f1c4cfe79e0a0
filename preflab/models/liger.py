"""Liger's fused output layer where it is installed and there is a GPU; everything here is optional.

Liger computes gradients on its way forward for a loss that is a plain sum, and its backward pass then knows one
factor only. Log-probabilities with a factor of their gradient for each item (PPO, DPO) fit that where the output layer
is frozen: the gradient of each hidden state is its gradient, and ours to scale. Where the output layer is trained, its
gradient mixes all items, and `models.heads` does the work.

Not run on a GPU yet: tests hold the dispatch and the arithmetic around the kernel, with a stand-in for it.
"""

from functools import cache
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable


@cache
def liger_loss() -> Any:
    """``liger_kernel``'s fused linear cross-entropy, one number an item; None where it is not installed."""
    try:
        return import_module("liger_kernel.transformers").LigerFusedLinearCrossEntropyLoss(reduction="none")
    except ImportError:
        return None


def liger_serves(device: torch.device, *, output_trained: bool, softcap: float | None, with_entropy: bool) -> bool:
    """Whether Liger's kernel gives what is asked for."""
    plain = device.type == "cuda" and not output_trained and softcap is None and not with_entropy
    return plain and liger_loss() is not None


def fused_logprobs(
    hidden: Float[Tensor, "item hidden"],
    targets: Int[Tensor, " item"],
    unembedding: Float[Tensor, "vocab hidden"],
    *,
    slope: float,
) -> Float[Tensor, " item"]:
    """Log-probability of each target in nats, with a gradient for ``hidden`` alone.

    Args:
        slope  logits are multiplied by it.
    """
    logp: Tensor = _Fused.apply(hidden, targets, unembedding.detach(), slope)  # type: ignore[no-untyped-call]
    return logp


class _Fused(torch.autograd.Function):
    """Liger forward with a factor of one an item; the true factors come in the backward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, unembedding: Tensor, slope: float) -> Tensor:
        """Log-probabilities, [item]."""
        states = (hidden.detach() * slope).to(unembedding.dtype)
        surprise: Tensor
        with torch.set_grad_enabled(ctx.needs_input_grad[0]):
            states.requires_grad_(ctx.needs_input_grad[0])
            surprise = liger_loss()(unembedding, states, targets)
            if not ctx.needs_input_grad[0]:
                return -surprise.float()
            (gradient,) = torch.autograd.grad(surprise.sum(), states)
        ctx.save_for_backward(gradient)
        ctx.slope, ctx.dtype = slope, hidden.dtype
        return -surprise.detach().float()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        """Each item's gradient times its factor."""
        (gradient,) = ctx.saved_tensors
        return (gradient.float() * (-ctx.slope * factor)[:, None]).to(ctx.dtype), None, None, None
