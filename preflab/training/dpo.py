"""Direct preference optimisation: comparisons straight into a policy, without preference model and sampling.

Rafailov et al. 2023 (arXiv 2305.18290) and, with ``loss="ipo"``, Azar et al. 2023 (arXiv 2310.12036). A comparison is
one row, prompt once and a branch a reply, and so is a whole dialogue that was judged at every turn. Pairs and K-wise
rankings: a comparison's loss is the mean over its pairs, so each comparison weighs the same (Ouyang et al. 2022).

The reference is run once, before the first step; its log-probabilities serve all epochs and are part of the state.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from preflab import distributed
from preflab.checks import check_above, check_at_least, check_within
from preflab.config_overrides import check_types
from preflab.data.rows import Row
from preflab.errors import DataError
from preflab.maths.dpo import dpo_loss, implicit_reward, ipo_loss
from preflab.models.roles import Role
from preflab.training.batch_order import BatchOrder, fit_state, forward_passes, keep_collectives_aligned, load_fit_state
from preflab.training.optimiser import Optimiser, OptimiserConfig
from preflab.training.row_pairs import BatchPairs, Judgements, row_pairs


@dataclass(frozen=True, kw_only=True)
class DPOConfig:
    """How a policy is fitted to comparisons. Beta is the paper's; rates are for adapters (TRL's usual one there)."""

    epochs: int = 1
    batch_comparisons: int = 16
    """Rows per optimiser step: a comparison each, or a dialogue of several."""
    loss: Literal["dpo", "ipo"] = "dpo"
    beta: float = 0.1
    """Price of KL (IPO calls it tau); a smaller one lets the policy go further from the reference."""
    label_smoothing: float = 0.0
    """Share of labels taken to be the wrong way round, in [0, 0.5)."""
    per_token: bool | None = None
    """Compare mean log-ratios per token in place of sums; None: for IPO, as its authors advise and TRL does."""
    ties: bool = True
    """Train on tied pairs with probability one half; False drops them."""
    max_tokens: int = 2048
    """Tokens per forward pass."""
    optimiser: OptimiserConfig = field(
        default_factory=lambda: OptimiserConfig(learning_rate=1e-4, schedule="linear-to-tenth", warmup_steps=5)
    )

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "epochs", "batch_comparisons", "max_tokens")
        check_above(self, 0, "beta")
        check_within(self, "[0, 0.5)", "label_smoothing")

    @property
    def averages(self) -> bool:
        """Whether log-ratios are means per token."""
        return self.loss == "ipo" if self.per_token is None else self.per_token


@dataclass(frozen=True)
class DPOStep:
    """What one optimiser step saw, before its update. Means over pairs with a clear label, unless said otherwise."""

    step: int
    loss: float
    """Mean over comparisons: nats for DPO, squared nats (per token) for IPO."""
    accuracy: float
    """Share of clear pairs whose better reply has the larger implicit reward; equal ones count half."""
    margin: float
    """Implicit reward of the better reply less that of the worse, nats."""
    chosen_reward: float
    """beta * log-ratio of the better reply (mean per token where the loss averages), nats."""
    rejected_reward: float
    chosen_logp: float
    """Log-probability of the better reply under the policy, summed over its tokens, nats."""
    rejected_logp: float
    n_comparisons: int
    n_pairs: int
    n_tokens: int
    """Tokens the policy ran over, each prefix once; the reference's were run before."""
    gradient_norm: float
    learning_rate: float


class DPOTraining:
    """A fit in progress. Iterate it for steps; ``state`` between steps is all that a resume needs.

    Args:
        role         the policy that is trained.
        reference    what it may not stray from: the trunk without adapters, or any other role (an SFT policy).
        rows         one comparison each, or a tree of several.
        comparisons  for each row what was judged of its replies.

    Raises:
        DataError: nothing was judged better than anything else, or rows and comparisons do not fit together.
    """

    def __init__(
        self,
        role: Role,
        reference: Role,
        rows: Sequence[Row],
        comparisons: Sequence[Judgements],
        config: DPOConfig,
        *,
        seed: int,
    ) -> None:
        pairs = [row_pairs(row, judged, ties=config.ties) for row, judged in zip(rows, comparisons, strict=True)]
        usable = [(row, judged) for row, judged in zip(rows, pairs, strict=True) if judged.a]
        if not usable:
            raise DataError("no comparison has a pair to learn from (all tied?)")
        n_judged = sum(1 if not isinstance(c, Sequence) else len(c) for c in comparisons)
        self.n_without_pairs = n_judged - sum(of_row.n_comparisons for of_row in pairs)
        self.rows = [row for row, _ in usable]
        self.pairs = [judged for _, judged in usable]
        self.role, self.reference, self.config = role, reference, config
        self.order = BatchOrder(n_items=len(self.rows), batch=config.batch_comparisons, epochs=config.epochs, seed=seed)
        self.total_steps = self.order.total_steps
        self.optimiser = Optimiser(role.weights(), config.optimiser, total_steps=self.total_steps)
        dpo_loss(*torch.zeros(3, 1), beta=config.beta, label_smoothing=config.label_smoothing)  # refused now, not later
        self._first = [0, *accumulate(len(row.replies) for row in self.rows)]
        self._reference: Float[Tensor, " reply"] | None = None

    @property
    def n_replies(self) -> int:
        """Replies the reference has to be run over."""
        return self._first[-1]

    @torch.no_grad()
    def prepare(self, progress: Callable[[int], None] | None = None) -> int:
        """Run the reference over every reply, once; ``progress`` hears of replies. Tokens run, 0 if it was done."""
        if self._reference is not None:
            return 0
        logps, n_tokens = torch.zeros(self.n_replies), 0
        for numbers, batch in forward_passes(self.rows, range(len(self.rows)), max_tokens=2 * self.config.max_tokens):
            logp = batch.sum_per_reply(self.reference.logprobs(batch)[0]).cpu()
            if not numbers:
                continue
            logps[self._replies(numbers)] = logp
            n_tokens += batch.n_tokens
            if progress:
                progress(len(logp))
        self._reference = distributed.all_reduce_sum(logps)
        return int(distributed.all_reduce_metrics({"tokens": float(n_tokens)})["tokens"])

    def __iter__(self) -> Iterator[DPOStep]:
        """From wherever the state stands to the end."""
        self.prepare()
        while self.optimiser.step_count < self.total_steps:
            yield self._step(self.order.at(self.optimiser.step_count))

    def _replies(self, rows: Sequence[int]) -> list[int]:
        """Numbers of all replies of these rows, in order."""
        return [k for i in rows for k in range(self._first[i], self._first[i + 1])]

    def _step(self, chosen: list[int]) -> DPOStep:
        assert self._reference is not None
        config = self.config
        n_comparisons = sum(self.pairs[i].n_comparisons for i in chosen)
        sums = dict.fromkeys(("loss", "tokens", "right", "clear", *_JUDGED), 0.0)
        for numbers, batch in forward_passes(self.rows, chosen, max_tokens=config.max_tokens):
            logp = batch.sum_per_reply(self.role.logprobs(batch)[0])
            if not numbers:
                keep_collectives_aligned(logp)
                continue
            ratio = logp - self._reference[self._replies(numbers)].to(logp.device)
            if config.averages:
                lengths = [len(self.rows[i].segments[s]) for i in numbers for s in self.rows[i].replies]
                ratio = ratio / torch.tensor(lengths, device=logp.device)
            pairs = BatchPairs.of([(self.rows[i], self.pairs[i]) for i in numbers], logp.device)
            share = (self._loss(ratio[pairs.a], ratio[pairs.b], pairs.prob_a) * pairs.weight).sum() / n_comparisons
            share.backward()  # type: ignore[no-untyped-call]
            judged = _judged(implicit_reward(ratio.detach(), config.beta), logp.detach(), pairs).double()
            right = (((judged[0] - judged[1]).sign() + 1) / 2).sum()
            values = [float(share.detach()), batch.n_tokens, float(right), judged.shape[1], *judged.sum(dim=1).tolist()]
            sums = {key: sums[key] + value for key, value in zip(sums, values, strict=True)}
        sums = distributed.all_reduce_metrics(sums)
        update = self.optimiser.step()
        mean = {key: sums[key] / sums["clear"] if sums["clear"] else float("nan") for key in ("right", *_JUDGED)}
        return DPOStep(
            step=self.optimiser.step_count,
            loss=sums["loss"],
            accuracy=mean["right"],
            margin=mean["chosen_reward"] - mean["rejected_reward"],
            **{key: mean[key] for key in _JUDGED},
            n_comparisons=n_comparisons,
            n_pairs=sum(len(self.pairs[i].a) for i in chosen),
            n_tokens=int(sums["tokens"]),
            **update,
        )

    def _loss(self, ratio_a: Tensor, ratio_b: Tensor, prob_a: Tensor) -> Float[Tensor, " pair"]:
        """One value a pair."""
        beta, smoothing = self.config.beta, self.config.label_smoothing
        if self.config.loss == "ipo":
            return ipo_loss(ratio_a, ratio_b, prob_a, tau=beta, label_smoothing=smoothing)
        return dpo_loss(ratio_a, ratio_b, prob_a, beta=beta, label_smoothing=smoothing)

    def state(self) -> dict[str, Tensor]:
        """Weights, optimiser, and what the reference said."""
        reference = {} if self._reference is None else {"reference": self._reference.clone()}
        return fit_state(self.role, self.optimiser) | reference

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave.

        Raises:
            DataError: it was made with other rows.
        """
        reference = state.get("reference")
        if reference is not None and len(reference) != self.n_replies:
            raise DataError(f"the state knows {len(reference)} replies, these rows have {self.n_replies}")
        load_fit_state(self.role, self.optimiser, state)
        self._reference = None if reference is None else reference.clone()


_JUDGED = ("chosen_reward", "rejected_reward", "chosen_logp", "rejected_logp")
"""What ``_judged`` gives, in its order."""


def _judged(reward: Tensor, logp: Tensor, pairs: BatchPairs) -> Float[Tensor, "4 pair"]:
    """Of every clear pair: rewards of the better and the worse reply, then their log-probabilities."""
    clear = pairs.prob_a != 0.5
    first = pairs.prob_a[clear] > 0.5
    a, b = pairs.a[clear], pairs.b[clear]
    better, worse = torch.where(first, a, b), torch.where(first, b, a)
    return torch.stack([reward[better], reward[worse], logp[better], logp[worse]])
