"""How probable a policy finds given replies, and fine-tuning on them; what the recipes ``sft`` and ``dpo`` share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.data.split import prompt_key
from preflab.maths.bootstrap import clustered_bootstrap, paired_difference
from preflab.maths.statistics import Estimate
from preflab.models.roles import Role
from preflab.recipes.common.results import LossChange
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
    number_of: dict[str, int] = {}
    of_dialogue = [number_of.setdefault(prompt_key(dialogue), len(number_of)) for dialogue in dialogues]
    return [of_dialogue[n] for n in encoded.dialogue_of]


def token_losses(role: Role, rows: Sequence[Row], groups: Sequence[int], *, max_tokens: int = 4096) -> TokenLosses:
    """Run a role over the rows; ``groups`` names the prompt or dialogue of each."""
    nats, group = list[float](), list[int]()
    for replies_logp, number in zip(logprob_rows(role, rows, max_tokens=max_tokens), groups, strict=True):
        for logp in replies_logp:
            nats += (-logp).tolist()
            group += [number] * len(logp)
    return TokenLosses(np.array(nats), np.array(group))


def loss_change(before: TokenLosses, after: TokenLosses) -> LossChange:
    """Nats per reply token before and after, and how much less it is; items are tokens, clusters their prompts."""
    return LossChange(
        before=before.estimate(),
        after=after.estimate(),
        gain=paired_difference(before.nats, after.nats, before.group),
    )


def at_ends_of_epochs(steps_per_epoch: int, measure: Callable[[], float]) -> Callable[[int], dict[str, Any]]:
    """What to log beside a step: the loss on unseen replies where a pass has ended."""

    def besides(step: int) -> dict[str, Any]:
        return {"held_out_loss": measure()} if step % steps_per_epoch == 0 else {}

    return besides
