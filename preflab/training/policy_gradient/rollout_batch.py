"""From sampled replies to numbers on a grid: log-probabilities and values of every token.

A step's replies lie on a [sample token] grid, padded on the right, True in ``mask`` = a sampled token; a prompt's
samples are neighbours and share one row. No gradient is needed here, except where the first update would run the
very same pass: then that pass is cached with its graph, and is not run twice.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from preflab import distributed
from preflab.data.rows import Row, RowBatch, batches_by_length, collate
from preflab.errors import DataError, TrainingStopped
from preflab.maths.policy import exact_kl, kl_k3, log_ratio, masked_mean
from preflab.models.roles import Role
from preflab.rollouts.generate import Rollout

GridIndices = tuple[Int[Tensor, " item"], Int[Tensor, " item"]]
"""Sample and token of each item on the grid."""


@dataclass(frozen=True, eq=False)
class RolloutRoles:
    """The roles that are run over every rollout."""

    policy: Role
    reference: Role | None = None
    value: Role | None = None
    temperature: float = 1.0
    """Of the sampler, for every log-probability."""


@dataclass(frozen=True, eq=False)
class CachedForward:
    """A forward pass over some rows with its graph, to serve as the first update's pass."""

    rows: list[int]
    row_batch: RowBatch
    logp: Float[Tensor, " item"] | None
    values: Float[Tensor, " item"] | None


@dataclass(frozen=True, eq=False)
class RolloutBatch:
    """Rollouts of one step on a [sample token] grid, with what each role computes of every token."""

    rows: list[Row]
    first_sample: list[int]
    """Index of each row's first sample."""
    mask: Bool[Tensor, "sample token"]
    finished: Bool[Tensor, " sample"]
    """Whether the model ended its turn itself."""
    scores: Float[Tensor, " sample"]
    """As the scorer gave them, less the offset."""
    sampler_logp: Float[Tensor, "sample token"]
    logp: Float[Tensor, "sample token"]
    entropy: Float[Tensor, "sample token"]
    ref_logp: Float[Tensor, "sample token"] | None
    """None where there is no reference."""
    values: Float[Tensor, "sample token"] | None
    """Output of the value model's head, before any scaling."""
    features: Float[Tensor, "sample token hidden"] | None
    """The hidden states behind ``values``, where nothing below the head is trained."""
    cached: CachedForward | None
    measured_tokens: int
    """Tokens run without gradient, over all roles."""

    @property
    def samples_per_row(self) -> list[int]:
        """Replies of each row."""
        return [len(row.replies) for row in self.rows]

    def item_indices(self, rows: Sequence[int]) -> GridIndices:
        """Grid indices of the reply tokens of these rows, in the order a collated batch holds them."""
        return grid_indices(rows, self.rows, self.first_sample, self.mask)

    def sample_indices(self, rows: Sequence[int]) -> list[int]:
        """Samples of these rows, in the order a collated batch holds them."""
        return [self.first_sample[i] + k for i in rows for k in range(len(self.rows[i].replies))]


def forward_all_roles(
    rollouts: Sequence[Sequence[Rollout]],
    scores: Float[Tensor, " sample"],
    roles: RolloutRoles,
    *,
    max_tokens: int,
    first_rows: Sequence[int] = (),
    cache_policy: bool = False,
) -> RolloutBatch:
    """Run every role over the rollouts of each prompt and lay what comes out on the grid.

    Args:
        max_tokens    tokens per forward pass without gradient; half of it with.
        first_rows    rows of the first update's minibatch; if all graphs of their passes hold together no more tokens
                      than a pass with gradient may, they are cached.
        cache_policy  whether that update will train the policy; a whole value model is always trained.
    """
    device, replies = roles.policy.device, [rollout for samples in rollouts for rollout in samples]
    rows = [Row.of(samples[0].prompt, *(rollout.tokens for rollout in samples)) for samples in rollouts]
    first_sample = [sum(len(samples) for samples in rollouts[:i]) for i in range(len(rows))]
    mask, sampler_logp = _lay_out(replies, device)
    grids = _empty_grids(roles, mask)
    cache_values = roles.value is not None and not roles.value.is_only_head
    cached, measured_tokens = None, 0
    row_lengths, n_graphs = [len(row) for row in rows], cache_policy + cache_values
    for pass_rows, with_graph in _passes(row_lengths, first_rows, max_tokens, n_graphs):
        row_batch = collate([rows[i] for i in pass_rows or [0]])
        if not pass_rows:  # nothing left for this process, but sharded models run on all at once
            _dummy_pass(row_batch, roles)
            continue
        graphs = _Graphs(with_graph and cache_policy, with_graph and cache_values)
        outputs = _run_roles(row_batch, roles, graphs)
        items = grid_indices(pass_rows, rows, first_sample, mask)
        for name, grid in grids.items():
            grid[items] = outputs[name].detach().float().to(device)
        if with_graph:
            logp = outputs["logp"] if graphs.policy else None
            cached = CachedForward(pass_rows, row_batch, logp, outputs["values"] if graphs.value else None)
        n_roles = 1 + (roles.reference is not None) + (roles.value is not None)
        measured_tokens += row_batch.n_tokens * (n_roles - graphs.policy - graphs.value)
    for grid in grids.values():
        distributed.all_reduce_sum(grid)
    return RolloutBatch(
        rows=rows,
        first_sample=first_sample,
        mask=mask,
        finished=torch.tensor([rollout.finished for rollout in replies], device=device),
        scores=scores.to(device),
        sampler_logp=sampler_logp,
        logp=grids["logp"],
        entropy=grids["entropy"],
        ref_logp=grids.get("ref_logp"),
        values=grids.get("values"),
        features=grids.get("features"),
        cached=cached,
        measured_tokens=int(distributed.all_reduce_metrics({"tokens": float(measured_tokens)})["tokens"]),
    )


def _lay_out(
    replies: Sequence[Rollout], device: torch.device
) -> tuple[Bool[Tensor, "sample token"], Float[Tensor, "sample token"]]:
    """The mask of the grid, and the sampler's log-probabilities on it."""
    lengths = torch.tensor([len(rollout.tokens) for rollout in replies])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).to(device)
    sampler_logp = torch.zeros(mask.shape, device=device)
    sampler_logp[mask] = torch.tensor([logp for rollout in replies for logp in rollout.logprobs], device=device)
    return mask, sampler_logp


class _Graphs(NamedTuple):
    """Whose forward pass keeps its graph."""

    policy: bool
    value: bool


def _empty_grids(roles: RolloutRoles, mask: Bool[Tensor, "sample token"]) -> dict[str, Tensor]:
    """Zeros for everything that these roles compute of a token."""
    names = ["logp", "ref_logp", "values", "entropy"]
    if roles.reference is None:
        names.remove("ref_logp")
    if roles.value is None:
        names.remove("values")
    grids = {name: torch.zeros(mask.shape, device=mask.device) for name in names}
    if roles.value is not None and roles.value.is_only_head:
        grids["features"] = torch.zeros(*mask.shape, roles.value.trunk.hidden_size, device=mask.device)
    return grids


def _run_roles(row_batch: RowBatch, roles: RolloutRoles, graphs: _Graphs) -> dict[str, Tensor]:
    """What the roles compute of every reply token, by the names of the grids."""
    temperature = roles.temperature
    with torch.set_grad_enabled(graphs.policy):
        logp, entropy = roles.policy.logprobs(row_batch, temperature=temperature, with_entropy=True)
    assert entropy is not None
    outputs = {"logp": logp, "entropy": entropy}
    if roles.reference is not None:
        with torch.no_grad():
            outputs["ref_logp"] = roles.reference.logprobs(row_batch, temperature=temperature)[0]
    if roles.value is not None:
        with torch.set_grad_enabled(graphs.value):
            outputs["features"] = roles.value.features(row_batch)
            outputs["values"] = roles.value.head(outputs["features"])
    return outputs


@torch.no_grad()
def _dummy_pass(row_batch: RowBatch, roles: RolloutRoles) -> None:
    """A pass of every role, in the order of ``_run_roles``."""
    for role in (roles.policy, roles.reference):
        if role is not None:
            role.logprobs(row_batch)
    if roles.value is not None:
        roles.value.features(row_batch)


def _passes(
    lengths: Sequence[int], first_rows: Sequence[int], max_tokens: int, n_graphs: int
) -> Iterator[tuple[list[int], bool]]:
    """Rows of each of this process's forward passes, and whether its graph is kept (where one process does it all)."""
    if distributed.world_size() == 1 and 0 < n_graphs * sum(lengths[i] for i in first_rows) <= max_tokens // 2:
        yield list(first_rows), True
    else:
        first_rows = ()
    later_rows = [i for i in range(len(lengths)) if i not in set(first_rows)]
    later_lengths = [lengths[i] for i in later_rows]
    room = distributed.tokens_per_rank(max_tokens, sum(later_lengths))
    for batch in distributed.shard_batches(list(batches_by_length(later_lengths, max_tokens=room))):
        yield [later_rows[k] for k in batch], False


def grid_indices(
    row_indices: Sequence[int],
    rows: Sequence[Row],
    first_sample: Sequence[int],
    mask: Bool[Tensor, "sample token"],
) -> GridIndices:
    """Grid indices of the reply tokens of these rows, in the order a collated batch holds them."""
    samples = [first_sample[i] + k for i in row_indices for k in range(len(rows[i].replies))]
    lengths = [len(rows[i].segments[s]) for i in row_indices for s in rows[i].replies]
    sample = torch.tensor([s for s, n in zip(samples, lengths, strict=True) for _ in range(n)], device=mask.device)
    token = torch.tensor([t for n in lengths for t in range(n)], device=mask.device)
    return sample, token


def rollout_metrics(batch: RolloutBatch) -> dict[str, float]:
    """What papers/06 and 02 log of a batch before its update; per reply or per token as named in docs/rl.md."""
    mask, scores, ref_logp = batch.mask, batch.scores, batch.ref_logp
    gap = log_ratio(batch.logp, batch.sampler_logp)[mask]
    metrics = {
        "score": float(scores.mean()),
        "score_std": float(scores.std(correction=0)),
        "entropy": float(masked_mean(batch.entropy, mask)),
        "reply_tokens": float(mask.sum(-1).float().mean()),
        "ended_share": float(batch.finished.float().mean()),
        "sampler_gap": float(gap.abs().mean()),
        "sampler_gap_outside": float(((gap.exp() - 1).abs() > 0.1).float().mean()),
        "sampled_tokens": float(mask.sum()),
        "measured_tokens": float(batch.measured_tokens),
    }
    if ref_logp is not None:
        per_reply = torch.where(mask, batch.logp - ref_logp, 0.0).sum(-1)
        kl = float(per_reply.mean())
        metrics |= {
            "kl": kl,
            "kl_error": float(per_reply.std(correction=0) / math.sqrt(len(scores))),
            "kl_k3": float(torch.where(mask, kl_k3(batch.logp, ref_logp), 0.0).sum(-1).mean()),
            "sqrt_kl": math.sqrt(max(0.0, kl)),
        }
    return metrics


@torch.no_grad()
def exact_kl_per_reply(
    policy: Role, reference: Role, rows: Sequence[Row], *, temperature: float
) -> Float[Tensor, " reply"]:
    """KL to the reference summed over each reply's tokens, each token's over the whole vocabulary; nats per reply.

    One row at a time, for it holds logits of every reply token: meant for a few rows.
    """
    kls = []
    for row in rows:
        row_batch = collate([row])
        logits, ref_logits = (role.logits(row_batch, temperature=temperature) for role in (policy, reference))
        kls.append(row_batch.sum_per_reply(exact_kl(logits, ref_logits)))
    return torch.cat(kls)


def check_rollouts(
    rollouts: Sequence[Sequence[Rollout]],
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
    if len(rollouts) != len(prompts) or any(len(samples) != n for samples in rollouts):
        raise DataError(
            f"the engine gave {[len(samples) for samples in rollouts]} replies; expected {n} to each of {len(prompts)}"
        )
    oldest = 0
    for i, (prompt, samples) in enumerate(zip(prompts, rollouts, strict=True)):
        for rollout in samples:
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
