"""From sampled replies to numbers on a grid: what policy, reference and value model say of every token.

A step's replies lie on a [sample token] grid, padded on the right, True in ``mask`` = a sampled token; a prompt's
samples are neighbours and share one row. Measuring needs no gradient, except where the first update would run the
very same pass: then that pass is kept with its graph, and is not run twice.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from preflab import distributed
from preflab.data.rows import Row, RowBatch, batches_by_length, collate
from preflab.errors import DataError, TrainingStopped
from preflab.maths.policy import exact_kl, kl_k3, log_ratio, masked_mean
from preflab.models.roles import Role
from preflab.rollouts.generate import Rollout

Where = tuple[Int[Tensor, " item"], Int[Tensor, " item"]]
"""Sample and token of each item on the grid."""


@dataclass(frozen=True)
class CachedForward:
    """A measuring pass over some rows with its graph, to serve as the first update's pass."""

    rows: list[int]
    batch: RowBatch
    logp: Float[Tensor, " item"] | None
    values: Float[Tensor, " item"] | None


@dataclass(frozen=True)
class RolloutBatch:
    """Rollouts of one step on a [sample token] grid, and what each role says of them."""

    rows: list[Row]
    first_sample: list[int]
    """Index of each row's first sample."""
    mask: Bool[Tensor, "sample token"]
    finished: Bool[Tensor, " sample"]
    """Whether the model ended its turn itself."""
    scores: Float[Tensor, " sample"]
    """As the scorer gave them, less the offset."""
    sampler: Float[Tensor, "sample token"]
    """Log-probabilities of the sampler."""
    logp: Float[Tensor, "sample token"]
    entropy: Float[Tensor, "sample token"]
    ref_logp: Float[Tensor, "sample token"] | None
    """None where the reference was not asked."""
    values: Float[Tensor, "sample token"] | None
    """What the value model's head reads, before any scaling."""
    features: Float[Tensor, "sample token hidden"] | None
    """The hidden states behind ``values``, where nothing below the head is trained."""
    kept: CachedForward | None
    measured_tokens: int
    """Tokens run without gradient, over all roles."""

    @property
    def samples_per_row(self) -> list[int]:
        """Replies of each row."""
        return [len(row.replies) for row in self.rows]

    def where(self, rows: Sequence[int]) -> Where:
        """Grid indices of the reply tokens of these rows, in the order a collated batch holds them."""
        return grid_indices(rows, self.rows, self.first_sample, self.mask)

    def samples(self, rows: Sequence[int]) -> list[int]:
        """Samples of these rows, in the order a collated batch holds them."""
        return [self.first_sample[i] + k for i in rows for k in range(len(self.rows[i].replies))]


def forward_all_roles(
    sampled: Sequence[Sequence[Rollout]],
    scores: Float[Tensor, " sample"],
    *,
    policy: Role,
    reference: Role | None,
    value: Role | None,
    temperature: float,
    max_tokens: int,
    first: Sequence[int] = (),
    keep_policy: bool = False,
) -> RolloutBatch:
    """Run every role over the rollouts and put what it says on the grid.

    Args:
        sampled      rollouts of each prompt.
        temperature  of the sampler, for every log-probability.
        max_tokens   tokens per forward pass without gradient; half of it with.
        first        rows of the first update's minibatch; if all graphs of their passes hold together no more tokens
                     than a pass with gradient may, they are kept.
        keep_policy  whether that update will train the policy; a whole value model is always trained.
    """
    rows = [Row.of(rs[0].prompt, *(r.tokens for r in rs)) for rs in sampled]
    flat = [r for rs in sampled for r in rs]
    first_sample = [sum(len(rs) for rs in sampled[:i]) for i in range(len(rows))]
    lengths, device = torch.tensor([len(r.tokens) for r in flat]), policy.device
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).to(device)
    names = ("logp", "ref_logp", "values", "entropy", "sampler")
    grids = {key: torch.zeros(mask.shape, device=device) for key in names}
    grids["sampler"][mask] = torch.tensor([lp for r in flat for lp in r.logprobs], device=device)
    head_only = value is not None and value.is_only_head
    features = (
        torch.zeros(*mask.shape, value.trunk.hidden_size, device=device) if value is not None and head_only else None
    )
    kept, measured = None, 0
    graphs = keep_policy + (value is not None and not head_only)
    for batch, with_graph in _passes([len(row) for row in rows], first, max_tokens, graphs):
        together = collate([rows[i] for i in batch or [0]])
        if not batch:  # nothing left for this process, but sharded models run on all at once
            _run_all(together, policy, reference, value)
            continue
        where = grid_indices(batch, rows, first_sample, mask)
        own = own_values = None
        with torch.set_grad_enabled(with_graph and keep_policy):
            own, entropy = policy.logprobs(together, temperature=temperature, with_entropy=True)
        assert entropy is not None
        grids["logp"][where], grids["entropy"][where] = own.detach(), entropy.detach()
        if reference is not None:
            with torch.no_grad():
                grids["ref_logp"][where] = reference.logprobs(together, temperature=temperature)[0].to(device)
        if value is not None:
            with torch.set_grad_enabled(with_graph and not head_only):
                read = value.features(together)
                own_values = value.head(read)
            grids["values"][where] = own_values.detach().to(device)
            if features is not None:
                features[where] = read.detach().float().to(device)
        trainable = [own if keep_policy else None, None if head_only else own_values]
        if with_graph:
            kept = CachedForward(batch, together, *trainable)
        runs = 1 + (reference is not None) + (value is not None)
        measured += together.n_tokens * (runs - with_graph * sum(t is not None for t in trainable))
    for grid in (*(grids[key] for key in ("logp", "ref_logp", "values", "entropy")), features):
        if grid is not None:
            distributed.all_reduce_sum(grid)
    return RolloutBatch(
        rows=rows,
        first_sample=first_sample,
        mask=mask,
        finished=torch.tensor([r.finished for r in flat], device=device),
        scores=scores.to(device),
        sampler=grids["sampler"],
        logp=grids["logp"],
        entropy=grids["entropy"],
        ref_logp=None if reference is None else grids["ref_logp"],
        values=None if value is None else grids["values"],
        features=features,
        kept=kept,
        measured_tokens=int(distributed.all_reduce_metrics({"tokens": float(measured)})["tokens"]),
    )


@torch.no_grad()
def _run_all(batch: RowBatch, policy: Role, reference: Role | None, value: Role | None) -> None:
    """A pass of every role, in the order in which they measure."""
    for role in (policy, reference):
        if role is not None:
            role.logprobs(batch)
    if value is not None:
        value.features(batch)


def _passes(
    lengths: Sequence[int], first: Sequence[int], max_tokens: int, graphs: int
) -> Iterator[tuple[list[int], bool]]:
    """Rows of each of this process's forward passes, and whether its graph is kept (where one process does it all)."""
    if distributed.world_size() == 1 and graphs and 0 < graphs * sum(lengths[i] for i in first) <= max_tokens // 2:
        yield list(first), True
    else:
        first = ()
    others = [i for i in range(len(lengths)) if i not in set(first)]
    own = [lengths[i] for i in others]
    for batch in distributed.shard_batches(
        list(batches_by_length(own, max_tokens=distributed.tokens_per_rank(max_tokens, sum(own))))
    ):
        yield [others[k] for k in batch], False


def grid_indices(
    batch: Sequence[int], rows: Sequence[Row], first_sample: Sequence[int], mask: Bool[Tensor, "sample token"]
) -> Where:
    """Grid indices of the reply tokens of these rows, in the order a collated batch holds them."""
    samples = [first_sample[i] + k for i in batch for k in range(len(rows[i].replies))]
    lengths = [len(rows[i].segments[s]) for i in batch for s in rows[i].replies]
    sample = torch.tensor([s for s, n in zip(samples, lengths, strict=True) for _ in range(n)], device=mask.device)
    token = torch.tensor([t for n in lengths for t in range(n)], device=mask.device)
    return sample, token


def describe(experience: RolloutBatch) -> dict[str, float]:
    """What papers/06 and 02 log of a batch before its update; per reply or per token as named in docs/rl.md."""
    mask, scores, ref_logp = experience.mask, experience.scores, experience.ref_logp
    gap = log_ratio(experience.logp, experience.sampler)[mask]
    found = {
        "score": float(scores.mean()),
        "score_std": float(scores.std(correction=0)),
        "entropy": float(masked_mean(experience.entropy, mask)),
        "reply_tokens": float(mask.sum(-1).float().mean()),
        "ended_share": float(experience.finished.float().mean()),
        "sampler_gap": float(gap.abs().mean()),
        "sampler_gap_outside": float(((gap.exp() - 1).abs() > 0.1).float().mean()),
        "sampled_tokens": float(mask.sum()),
        "measured_tokens": float(experience.measured_tokens),
    }
    if ref_logp is not None:
        per_reply = torch.where(mask, experience.logp - ref_logp, 0.0).sum(-1)
        kl = float(per_reply.mean())
        found |= {
            "kl": kl,
            "kl_error": float(per_reply.std(correction=0) / math.sqrt(len(scores))),
            "kl_k3": float(torch.where(mask, kl_k3(experience.logp, ref_logp), 0.0).sum(-1).mean()),
            "sqrt_kl": math.sqrt(max(0.0, kl)),
        }
    return found


@torch.no_grad()
def exact_kl_of_rows(
    policy: Role, reference: Role, rows: Sequence[Row], *, temperature: float
) -> Float[Tensor, " reply"]:
    """KL to the reference summed over each reply's tokens, each token's over the whole vocabulary; nats per reply.

    One row at a time, for it holds logits of every reply token: meant for a few rows.
    """
    found = []
    for row in rows:
        batch = collate([row])
        own, ref = (role.logits(batch, temperature=temperature) for role in (policy, reference))
        each = exact_kl(own, ref)
        found.append(each.new_zeros(len(row.replies)).index_add(0, batch.reply_of.to(each.device), each))
    return torch.cat(found)


def check_rollouts(
    sampled: Sequence[Sequence[Rollout]],
    prompts: Sequence[tuple[int, ...]],
    *,
    n: int,
    version: int,
    max_staleness: int,
) -> int:
    """Refuse rollouts that are not what was asked for; the staleness of the oldest, in versions.

    Raises:
        DataError: a prompt is missing or another one, or a reply is empty or lacks log-probabilities.
        TrainingStopped: a reply was drawn with weights that are too old, or that do not exist yet.
    """
    if len(sampled) != len(prompts) or any(len(rs) != n for rs in sampled):
        raise DataError(
            f"the engine gave {[len(rs) for rs in sampled]} replies; expected {n} to each of {len(prompts)}"
        )
    oldest = 0
    for i, (prompt, rollouts) in enumerate(zip(prompts, sampled, strict=True)):
        for rollout in rollouts:
            if rollout.prompt != tuple(prompt):
                raise DataError(f"the engine answered another prompt than number {i}; prompts must come back in order")
            if not rollout.tokens or len(rollout.tokens) != len(rollout.logprobs):
                raise DataError(
                    f"a reply to prompt {i} has {len(rollout.tokens)} tokens and {len(rollout.logprobs)} "
                    "log-probabilities; expected one a token, and at least one token"
                )
            staleness = version - rollout.version
            if not 0 <= staleness <= max_staleness:
                raise TrainingStopped(
                    f"a reply to prompt {i} was drawn with version {rollout.version} of the weights; training is at "
                    f"version {version} and takes replies at most {max_staleness} older (max_staleness)"
                )
            oldest = max(oldest, staleness)
    return oldest
