"""What is read off a trunk's hidden states: scalar scores, and log-probabilities without keeping logits."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from preflab.models.liger import fused_logprobs, liger_serves

MAX_LOGITS = 1 << 24
"""Logits that exist at one time, for processors and GPUs alike: 64 MiB in fp32."""


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


class LogitTransform(NamedTuple):
    """How logits follow from ``hidden @ unembedding.T``: times ``scale``, capped, divided by the temperature."""

    temperature: float = 1.0
    softcap: float | None = None
    scale: float = 1.0

    @property
    def slope(self) -> float:
        """Factor on the gradient; the cap's own derivative comes on top."""
        return self.scale / self.temperature

    def __call__(self, products: Tensor) -> Float[Tensor, "item block"]:
        """Transform fp32 products in place."""
        if self.softcap is None:
            return products.mul_(self.slope) if self.slope != 1.0 else products
        return products.mul_(self.scale / self.softcap).tanh_().mul_(self.softcap / self.temperature)

    def cap_derivative(self, logits: Tensor) -> Tensor:
        """``1 - tanh^2``, from the transformed logits."""
        assert self.softcap is not None
        return 1 - (logits * (self.temperature / self.softcap)).square()


def token_logprobs(
    hidden: Float[Tensor, "item hidden"],
    targets: Int[Tensor, " item"],
    unembedding: Float[Tensor, "vocab hidden"],
    *,
    temperature: float = 1.0,
    softcap: float | None = None,
    scale: float = 1.0,
    max_logits: int = MAX_LOGITS,
    with_entropy: bool = False,
) -> tuple[Float[Tensor, " item"], Float[Tensor, " item"] | None]:
    """Log-probability of each target token, and on request the entropy it was drawn from.

    Goes through the vocabulary block by block with a running maximum and sum, so that no more than ``max_logits``
    logits exist at any time, forward or backward. What is kept for the backward pass is one number an item: it
    makes each block of probabilities again, and each block of the output layer's gradient in one product. Where
    the output layer is frozen (adapters), nothing is made again: the mean output vector of each item, which is all
    that the gradient needs, is summed up on the way forward.

    On a GPU with Liger installed its kernel does the same where it can (`models.liger`).

    Args:
        hidden       [item hidden]   hidden states that predict the targets.
        targets      [item]          token ids.
        unembedding  [vocab hidden]  the output layer.
        temperature  logits are divided by it, as the sampler does (Stiennon et al.: same in every pass).
        softcap      ``softcap * tanh(logits / softcap)``, for models that have it.
        scale        logits are multiplied by it first, for models that have it.
        max_logits   logits that may exist at one time; changes speed and memory, not results.

    Returns:
        logp     [item]  nats.
        entropy  [item]  nats, without gradient; None unless asked for.
    """
    if not len(targets):
        empty = (hidden.sum() + unembedding.flatten()[:0].sum()).float() * hidden.new_zeros(0, dtype=torch.float32)
        return empty, empty.detach() if with_entropy else None
    transform = LogitTransform(temperature, softcap, scale)
    trained = torch.is_grad_enabled() and unembedding.requires_grad
    if liger_serves(hidden.device, output_trained=trained, softcap=softcap, with_entropy=with_entropy):
        return fused_logprobs(hidden, targets, unembedding, slope=transform.slope), None
    block = max(1, min(len(unembedding), max_logits // len(targets)))
    logp, entropy = _Logprobs.apply(hidden, targets, unembedding, transform, block, with_entropy)  # type: ignore[no-untyped-call]
    return logp, entropy if with_entropy else None


class _Logprobs(torch.autograd.Function):
    """``log softmax(transform(hidden @ unembedding.T))[target]``, a block of the vocabulary at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        targets: Tensor,
        unembedding: Tensor,
        transform: LogitTransform,
        block: int,
        with_entropy: bool,
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies, [item] each."""
        gradient_now = ctx.needs_input_grad[0] and not ctx.needs_input_grad[2]
        sums = _RunningSums(hidden, with_entropy=with_entropy, mean=gradient_now)
        for start, weight, logits in _blocks(hidden, unembedding, transform, block):
            sums.add(logits, targets - start, weight, transform)
        ctx.transform, ctx.block = transform, block
        total, chosen = sums.log_total(), sums.chosen
        ctx.save_for_backward(hidden, targets, unembedding, total, chosen, sums.mean_output())
        entropy = sums.entropy()
        ctx.mark_non_differentiable(entropy)
        return chosen - total, entropy

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, slope: Tensor, _entropy: Tensor) -> tuple[Tensor | None, ...]:
        """With p the probabilities: hidden gets ``slope * (U[target] - p @ U)``, the output layer the transpose."""
        hidden, targets, unembedding, total, chosen, mean = ctx.saved_tensors
        transform: LogitTransform = ctx.transform
        slope = slope * transform.slope
        at_target = slope * transform.cap_derivative(chosen) if transform.softcap else slope
        target_rows = unembedding[targets].float() * at_target[:, None]
        if mean is not None:  # the output layer is frozen
            return (target_rows - mean * slope[:, None]).to(hidden.dtype), None, None, None, None, None
        states = hidden.to(unembedding.dtype)
        away = (states * -slope[:, None]).to(unembedding.dtype)
        grad_hidden = torch.zeros(hidden.shape, device=hidden.device) if ctx.needs_input_grad[0] else None
        grad_unembedding = torch.empty_like(unembedding)
        for start, weight, logits in _blocks(hidden, unembedding, transform, ctx.block):
            capped = transform.cap_derivative(logits) if transform.softcap else None
            probs = logits.sub_(total[:, None]).exp_()
            probs = (probs if capped is None else probs * capped).to(unembedding.dtype)
            if grad_hidden is not None:
                grad_hidden += probs @ weight
            torch.mm(probs.T, away, out=grad_unembedding[start : start + len(weight)])
        grad_unembedding.index_add_(0, targets, (states * at_target[:, None]).to(unembedding.dtype))
        if grad_hidden is not None:
            grad_hidden = (target_rows - grad_hidden * slope[:, None]).to(hidden.dtype)
        return grad_hidden, None, grad_unembedding, None, None, None


def _blocks(
    hidden: Tensor, unembedding: Tensor, transform: LogitTransform, block: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """First token, rows of the output layer, and fp32 logits of each block; the logits' memory is used again."""
    states = hidden.to(unembedding.dtype)
    buffer = torch.empty(len(states) * min(block, len(unembedding)), dtype=states.dtype, device=states.device)
    for start in range(0, len(unembedding), block):
        weight = unembedding[start : start + block]
        products = torch.mm(states, weight.T, out=buffer[: len(states) * len(weight)].view(len(states), len(weight)))
        yield start, weight, transform(products.float())


class _RunningSums:
    """Sums over the vocabulary seen so far, relative to the largest logit seen so far."""

    def __init__(self, hidden: Tensor, *, with_entropy: bool, mean: bool) -> None:
        items = len(hidden)

        def full(value: float, *shape: int) -> Tensor:
            return torch.full((items, *shape), value, dtype=torch.float32, device=hidden.device)

        self.best, self.total, self.chosen = full(-math.inf), full(0.0), full(0.0)
        self.gaps = full(0.0) if with_entropy else None
        """Sum of ``exp(gap) * gap`` with the gap to the largest, at most 0."""
        self.mean = full(0.0, hidden.shape[1]) if mean else None
        """Sum of ``exp(gap) * output vector``."""

    def add(self, logits: Tensor, targets: Tensor, weight: Tensor, transform: LogitTransform) -> None:
        """Take in one block; ``targets`` count from its first token. ``logits`` are used up."""
        inside = (targets >= 0) & (targets < len(weight))
        target_logits = logits.gather(-1, targets.clamp(0, len(weight) - 1)[:, None]).squeeze(-1)
        self.chosen = torch.where(inside, target_logits, self.chosen)
        best = torch.maximum(self.best, logits.amax(-1))
        shrink = (self.best - best).exp()  # 0 at the first block
        capped = transform.cap_derivative(logits) if transform.softcap and self.mean is not None else None
        gaps = logits.sub_(best[:, None])
        odds = gaps.exp() if self.gaps is not None else gaps.exp_()
        if self.gaps is not None:
            moved = torch.where(shrink > 0, (self.best - best) * self.total, 0.0)  # not -inf * 0
            self.gaps = shrink * (self.gaps + moved) + gaps.mul_(odds).sum(-1)
        self.total = shrink * self.total + odds.sum(-1)
        if self.mean is not None:
            odds = odds if capped is None else odds * capped
            self.mean = self.mean * shrink[:, None] + odds.to(weight.dtype) @ weight
        self.best = best

    def log_total(self) -> Float[Tensor, " item"]:
        """Log of the sum of exp(logit)."""
        return self.best + self.total.log()

    def entropy(self) -> Float[Tensor, " item"]:
        """``log(sum of odds) - mean gap``: two terms of one sign, so nothing cancels. Zeros if not asked for."""
        return torch.zeros_like(self.best) if self.gaps is None else self.total.log() - self.gaps / self.total

    def mean_output(self) -> Float[Tensor, "item hidden"] | None:
        """The output layer's rows, weighted by their probabilities."""
        return None if self.mean is None else self.mean / self.total[:, None]
