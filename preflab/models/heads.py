"""What is read off a trunk's hidden states: scalar scores, and log-probabilities without keeping logits."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class ScalarHead(nn.Module):
    """A linear map from a hidden state to one number, kept in full precision.

    Starts at ``N(0, 1/(hidden + 1))`` (Stiennon et al. 2020, appendix) without a bias: a bias cancels in
    every comparison, and ``AutoModelForSequenceClassification`` has none.
    """

    def __init__(self, hidden: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        weight = torch.randn(1, hidden, generator=generator) / math.sqrt(hidden + 1)
        self.weight = nn.Parameter(weight)

    def forward(self, hidden: Float[Tensor, "item hidden"]) -> Float[Tensor, " item"]:
        """One number per hidden state, in nats for scores."""
        return (hidden.float() @ self.weight.T).squeeze(-1)


def token_logprobs(
    hidden: Float[Tensor, "item hidden"],
    targets: Int[Tensor, " item"],
    unembedding: Float[Tensor, "vocab hidden"],
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
    scale: float = 1.0,
    chunk: int = 256,
    with_entropy: bool = False,
) -> tuple[Float[Tensor, " item"], Float[Tensor, " item"] | None]:
    """Log-probability of each target token, and on request the entropy it was drawn from.

    Works through ``chunk`` items at a time and recomputes them in the backward pass, so that no more
    than ``chunk * vocab`` logits exist at once.

    Args:
        hidden       [item hidden]   hidden states that predict the targets.
        targets      [item]          token ids.
        unembedding  [vocab hidden]  the output layer.
        temperature  logits are divided by it, as the sampler does (Stiennon et al.: same in every pass).
        softcap      ``softcap * tanh(logits / softcap)``, for models that have it.
        scale        logits are multiplied by it first, for models that have it.

    Returns:
        logp     [item]  nats.
        entropy  [item]  nats, without gradient; None unless asked for.
    """

    def one(h: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        logits = h.to(unembedding.dtype) @ unembedding.T
        logits = logits.float() * (scale / temperature) if softcap is None else logits.float() * scale
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap) / temperature
        total = logits.logsumexp(-1)
        logp = logits.gather(-1, target[:, None]).squeeze(-1) - total
        if not with_entropy:
            return logp, logp
        with torch.no_grad():
            every = logits - total[:, None]
            return logp, -(every.exp() * every).sum(-1)  # not total - sum(p * logits), which cancels

    grad = torch.is_grad_enabled() and (hidden.requires_grad or unembedding.requires_grad)
    pieces = []
    for start in range(0, len(targets), chunk):
        args = hidden[start : start + chunk], targets[start : start + chunk]
        pieces.append(checkpoint(one, *args, use_reentrant=False, preserve_rng_state=False) if grad else one(*args))
    if not pieces:
        empty = hidden.new_zeros(0, dtype=torch.float32)
        return empty, empty if with_entropy else None
    logp = torch.cat([p[0] for p in pieces])
    return logp, torch.cat([p[1] for p in pieces]) if with_entropy else None
