"""How probable a policy finds replies that were written, and fine-tuning on them: what ``sft`` and ``dpo`` share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.data.split import opening_groups
from preflab.maths.bootstrap import clustered_bootstrap, paired_difference
from preflab.maths.statistics import Estimate
from preflab.models.roles import Role
from preflab.recipes.common.results import LossChange
from preflab.reporting.format import nats, with_interval
from preflab.reporting.html import metric_series
from preflab.reporting.plots import Frame, curve_plot
from preflab.reporting.report import Figure, Section, Table
from preflab.rollouts.encode import EncodedDialogues
from preflab.rollouts.score import logprob_rows


@dataclass(frozen=True, eq=False)
class TokenLosses:
    """Nats of every reply token of some rows, and which prompt or dialogue each belongs to."""

    nats: np.ndarray
    group: np.ndarray

    @property
    def mean(self) -> float:
        """Nats per reply token."""
        return float(self.nats.mean())

    def estimate(self) -> Estimate:
        """Nats per reply token, with an interval from resampling whole groups."""
        return clustered_bootstrap(self.nats, self.group)


def prompt_groups(dialogues: Sequence[Dialogue], encoded: EncodedDialogues) -> list[int]:
    """For each row the number of its prompt; dialogues that a split keeps together share one."""
    dialogue_groups = opening_groups(dialogues)
    return [dialogue_groups[n] for n in encoded.dialogue_of]


def token_losses(role: Role, rows: Sequence[Row], groups: Sequence[int], *, max_tokens: int = 4096) -> TokenLosses:
    """Run a role over the rows; ``groups`` names the prompt or dialogue of each."""
    losses, group = list[float](), list[int]()
    for replies_logp, number in zip(logprob_rows(role, rows, max_tokens=max_tokens), groups, strict=True):
        for logp in replies_logp:
            losses += (-logp).tolist()
            group += [number] * len(logp)
    return TokenLosses(np.array(losses), np.array(group))


def loss_change(before: TokenLosses, after: TokenLosses) -> LossChange:
    """Nats per reply token before and after, and how much less it is; items are tokens, clusters their prompts."""
    return LossChange(
        before=before.estimate(),
        after=after.estimate(),
        gain=paired_difference(before.nats, after.nats, before.group),
    )


def at_ends_of_epochs(steps_per_epoch: int, measure: Callable[[], float]) -> Callable[[int], dict[str, float]]:
    """What to log beside a step: the loss on unseen replies where a pass has ended."""

    def extra_metrics(step: int) -> dict[str, float]:
        return {"held_out_loss": measure()} if step % steps_per_epoch == 0 else {}

    return extra_metrics


def sft_section(change: LossChange, steps: Sequence[Mapping[str, object]]) -> Section:
    """The fine-tuning in a report: nats per token before and after, and the curve of training.

    Args:
        steps  what was logged, in order; ``held_out_loss`` where a pass has ended.
    """
    losses = {"before": change.before, "after": change.after}
    rows = [[when, with_interval(loss, ".3f")] for when, loss in losses.items()]
    passes = [step for step in steps if step.get("held_out_loss") is not None]
    series = [
        metric_series("training batches", steps, "loss"),
        metric_series("held-out, at the end of a pass", passes, "held_out_loss", style="both", colour=1),
    ]
    frame = Frame(
        name="sft",
        title="SFT: loss",
        x_label="step",
        y_label="nats per reply token",
        hlines=((change.before.value, "held-out, before"),),
        integer_x=True,
    )
    caption = (
        "one point a batch, before it is learned from; where the held-out points rise while the line falls, the policy "
        "learns the training replies by heart."
    )
    return Section(
        anchor="sft",
        title="Fine-tuning",
        figures=[Figure(svg=curve_plot(series, frame), title="Loss", caption=caption)],
        tables=[
            Table(
                caption="Nats per reply token on held-out replies [95 % interval]",
                heads=["", "nats"],
                rows=[*rows, ["gain", nats(change.gain)]],
            )
        ],
    )
