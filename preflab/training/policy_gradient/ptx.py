"""Pretraining gradients mixed into reinforcement learning: the "ptx" of PPO-ptx (Ouyang et al. 2022, sec. 3.5).

For every minibatch the gradient of the language-model loss on ``ratio`` pretraining examples per episode is added to
that of the policy loss before the one optimiser step. The loss is ``coefficient`` times the mean over all predicted
tokens of the minibatch's examples, in nats per token; the paper does not say how it normalises, so that its 27.8 need
not carry over: compare ``rl_gradient_norm`` with ``ptx_gradient_norm``, and see that ``ptx_loss`` does not rise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from preflab import distributed
from preflab.checks import check_at_least, refuse_unread
from preflab.config_overrides import check_types
from preflab.data.rows import Row
from preflab.errors import DataError
from preflab.models.roles import Role
from preflab.rollouts.encoder import Encoder
from preflab.training.batch_order import forward_passes, keep_collectives_aligned, shuffled_stream
from preflab.training.optimiser import gradient_norm


@dataclass(frozen=True, kw_only=True)
class PtxConfig:
    """How much pretraining is mixed in; a coefficient of 0 is none."""

    coefficient: float = 0.0
    """Weight of the pretraining loss, the paper's gamma: 27.8 for PPO-ptx."""
    ratio: int = 8
    """Pretraining examples per RL episode of a minibatch (the paper: 8; 4 let the pretraining loss rise)."""
    example_tokens: int = 512
    """Length of an example that text is cut into (the paper's models see 2,048)."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 0, "coefficient")
        check_at_least(self, 1, "ratio")
        check_at_least(self, 2, "example_tokens")
        if self.coefficient == 0:
            refuse_unread(self, "coefficient=0", "ratio", "example_tokens")


class Pretraining:
    """Examples in an order that is a function of seed and cursor, and the gradient of their loss."""

    def __init__(self, role: Role, rows: Sequence[Row], config: PtxConfig, *, max_tokens: int, seed: int) -> None:
        if not rows:
            raise DataError("ptx.coefficient is above 0, but there are no pretraining rows; see rows_of_text")
        self.role, self.rows, self.config = role, list(rows), config
        self.max_tokens, self.seed = max_tokens, seed

    def draw(self, start: int, n: int) -> list[Row]:
        """Examples ``start`` to ``start + n`` of the stream."""
        return [self.rows[i] for i in shuffled_stream(len(self.rows), range(start, start + n), seed=self.seed)]

    def add_gradient(self, rows: Sequence[Row]) -> dict[str, float]:
        """Add the gradient of these examples' loss to what the weights hold; both parts' norms are returned."""
        weights = self.role.weights()
        rl_gradients = {name: p.grad for name, p in weights.items() if p.grad is not None}
        for weight in weights.values():
            weight.grad = None
        n_items = sum(len(row.segments[s]) for row in rows for s in row.replies)
        loss, n_tokens = 0.0, 0
        for pass_rows, row_batch in forward_passes(rows, range(len(rows)), max_tokens=self.max_tokens):
            logp = self.role.logprobs(row_batch)[0]
            if not pass_rows:
                keep_collectives_aligned(logp)
                continue
            nats = -logp.sum() / n_items
            (self.config.coefficient * nats).backward()  # type: ignore[no-untyped-call]
            loss, n_tokens = loss + float(nats.detach()), n_tokens + row_batch.n_tokens
        ptx_gradients = {name: p.grad for name, p in weights.items() if p.grad is not None}
        norms = {"rl_gradient_norm": norm_of(rl_gradients), "ptx_gradient_norm": norm_of(ptx_gradients)}
        for name, gradient in rl_gradients.items():
            ptx_gradient = weights[name].grad
            weights[name].grad = gradient if ptx_gradient is None else ptx_gradient.add_(gradient)
        return distributed.all_reduce_metrics({"ptx_loss": loss, "ptx_tokens": float(n_tokens)}) | norms


def norm_of(gradients: Mapping[str, Tensor]) -> float:
    """Euclidean norm of all gradients taken together, summed over processes first."""
    return float(gradient_norm(distributed.copy_reduced_gradients(gradients.values()))) if gradients else 0.0


def rows_of_text(encoder: Encoder, texts: Iterable[str], *, example_tokens: int) -> list[Row]:
    """Documents laid end to end, each closed by its end token, and cut into examples of one length.

    Each example is a row whose prefix is its first token and whose reply is all the rest. What is left over at the end
    is a shorter example, unless it is a single token.

    Raises:
        DataError: there is no text.
    """
    tokens: list[int] = []
    for text in texts:
        tokens += encoder.document(text)
    pieces = (tokens[i : i + example_tokens] for i in range(0, len(tokens), example_tokens))
    rows = [Row.of(piece[:1], piece[1:]) for piece in pieces if len(piece) > 1]
    if not rows:
        raise DataError("the pretraining text is empty")
    return rows
