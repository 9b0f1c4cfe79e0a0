"""From logits to tokens: temperature, top-k, top-p and rules against repetition, then one draw a row.

Everything but the rules is a pure function of tensors. A draw costs a softmax, sums over blocks of the vocabulary
and a look into one block: no sort, no noise for every token, no cumulative sum over the vocabulary.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK = 256
"""Tokens whose weights are added up before one of them is looked for."""


def sample_tokens(
    logits: Float[Tensor, "sample vocab"],
    u: Float[Tensor, " sample"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
) -> tuple[Int[Tensor, " sample"], Float[Tensor, " sample"]]:
    """One token a row, with its log-probability under the distribution it was drawn from.

    That distribution is ``softmax(logits / temperature)``, cut down to its ``top_k`` likeliest tokens, then to the
    likeliest that together hold ``top_p`` of what is left (Holtzman et al. 2020, sec. 3.1), then scaled to one.
    A temperature of 0 takes the largest logit; its log-probability is then that at temperature 1.

    Args:
        logits       [sample vocab]  -inf where a token must not come.
        u            [sample]        uniform on [0, 1): the randomness, inverted through the cumulative distribution.
        temperature  scalar          at least 0.
        top_k        scalar          at least 1; None: all. Ties with the last one kept are kept too.
        top_p        scalar          in (0, 1]; 1: all. Ties with the last one kept are kept too.

    Returns:
        token  [sample]
        logp   [sample]  nats.
    """
    if temperature == 0:
        token = logits.argmax(-1)
        return token, logits.gather(-1, token[:, None]).squeeze(-1) - logits.logsumexp(-1)
    weights = torch.softmax(logits if temperature == 1 else logits / temperature, dim=-1)
    if top_k is not None and top_k < logits.shape[-1]:
        weights.masked_fill_(weights < weights.topk(top_k, dim=-1).values[:, -1:], 0.0)
    if top_p < 1:
        weights.masked_fill_(weights < nucleus_edge(weights, top_p)[:, None], 0.0)
    return invert(weights, u)


def nucleus_edge(weights: Float[Tensor, "sample vocab"], top_p: float) -> Float[Tensor, " sample"]:
    """The smallest weight among the likeliest tokens that together hold ``top_p`` of a row's total.

    Tokens below ``(1 - top_p) / vocab`` of the total hold less than ``1 - top_p`` of it even together, so only the
    few above need sorting. All are sorted where the distribution is nearly flat.
    """
    total = weights.sum(-1, keepdim=True)
    likely = ~(weights < total * ((1 - top_p) / weights.shape[-1]))  # what is not a number stays in sight
    counts = likely.sum(-1)
    rank = torch.arange(int(counts.max()), device=weights.device)
    likeliest = weights.new_zeros(len(weights), len(rank))
    likeliest[rank < counts[:, None]] = weights[likely]
    likeliest = likeliest.sort(dim=-1, descending=True).values
    reach = likeliest.double().cumsum(-1)
    last = torch.searchsorted(reach, (top_p * total).double()).clamp_max(len(rank) - 1)  # first to reach top_p
    return likeliest.gather(-1, last).squeeze(-1)


def invert(
    weights: Float[Tensor, "sample vocab"], u: Float[Tensor, " sample"]
) -> tuple[Int[Tensor, " sample"], Float[Tensor, " sample"]]:
    """The token at which each row's cumulative weight passes ``u`` times its total, and its log share in nats.

    The block is found first, from the blocks' sums, then the token in it. A token of weight 0 is never found.
    """
    vocab = weights.shape[-1]
    blocked = vocab // BLOCK * BLOCK
    sums = weights[:, :blocked].reshape(len(weights), -1, BLOCK).sum(-1).double()
    if blocked < vocab:
        sums = torch.cat([sums, weights[:, blocked:].sum(-1, keepdim=True).double()], dim=-1)
    edges = sums.cumsum(-1)
    at = u[:, None].double() * edges[:, -1:]
    block = _first_above(edges, at)
    left = at - edges.gather(-1, block) + sums.gather(-1, block)
    columns = block * BLOCK + torch.arange(BLOCK, device=weights.device)
    inside = weights.gather(-1, columns.clamp_max(vocab - 1)).double().masked_fill(columns >= vocab, 0.0)
    token = (block * BLOCK + _first_above(inside.cumsum(-1), left)).clamp_max(vocab - 1)
    logp = (weights.gather(-1, token) / edges[:, -1:]).log()
    return token.squeeze(-1), logp.squeeze(-1).to(weights.dtype)


def _first_above(cumulative: Tensor, at: Tensor) -> Tensor:
    """Index of the first entry above ``at``; where rounding puts that past the end, of the last that adds anything."""
    last = torch.searchsorted(cumulative, cumulative[:, -1:].contiguous())
    return torch.minimum(torch.searchsorted(cumulative, at, right=True), last).clamp_max(cumulative.shape[-1] - 1)


class RepetitionRules:
    """What each sample has said, prompt included, and rules against saying it again.

    ``penalty`` divides the positive logits of every token that was there and multiplies the negative ones (Keskar et
    al. 2019, sec. 4.1). ``ngram`` forbids a token that would end a run of that many tokens a second time
    (Paulus et al. 2018, sec. 2.5).
    """

    def __init__(self, prompts: Sequence[Sequence[int]], *, room: int, penalty: float, ngram: int | None) -> None:
        self.penalty, self.ngram = penalty, ngram
        self._history = [list(prompt) for prompt in prompts]
        self._next: list[dict[tuple[int, ...], set[int]]] = [{} for _ in prompts]
        # Unused places hold the first token again: it is a token that was said.
        self._grid = torch.tensor([[*p, *[p[0]] * (max(map(len, prompts)) + room - len(p))] for p in prompts])
        if ngram is not None:
            for sample, history in enumerate(self._history):
                for stop in range(ngram, len(history) + 1):
                    self._remember(sample, history[stop - ngram : stop])

    def apply(self, logits: Float[Tensor, "sample vocab"]) -> Float[Tensor, "sample vocab"]:
        """The logits under the rules; the argument is overwritten."""
        if self.penalty != 1:
            grid = self._grid.to(logits.device)
            seen_logits = logits.gather(-1, grid)
            logits.scatter_(
                -1, grid, torch.where(seen_logits > 0, seen_logits / self.penalty, seen_logits * self.penalty)
            )
        if self.ngram is not None:
            for sample, history in enumerate(self._history):
                start = len(history) + 1 - self.ngram
                if start >= 0 and (banned := self._next[sample].get(tuple(history[start:]))):
                    logits[sample, list(banned)] = float("-inf")
        return logits

    def add(self, tokens: Sequence[int]) -> None:
        """One more token of every sample."""
        for sample, token in enumerate(tokens):
            history = self._history[sample]
            self._grid[sample, len(history)] = token
            history.append(token)
            if self.ngram is not None and len(history) >= self.ngram:
                self._remember(sample, history[-self.ngram :])

    def select(self, samples: Sequence[int]) -> None:
        """Keep these samples, in this order."""
        self._history, self._next = [self._history[i] for i in samples], [self._next[i] for i in samples]
        self._grid = self._grid[list(samples)]

    def _remember(self, sample: int, run: list[int]) -> None:
        self._next[sample].setdefault(tuple(run[:-1]), set()).add(run[-1])
