"""Labellers of clips, on the one seam of all labellers (`preflab.interfaces`): at once, or later."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from preflab.control.archive import ClipArchive
from preflab.control.clips import ClipQuery
from preflab.control.rewards.label_log import LabelLog
from preflab.control.rewards.labels import Label, Response
from preflab.interfaces import AsyncLabeller, Labeller, callable_name, labels_of

ClipLabeller: TypeAlias = Labeller[ClipQuery]
"""Compares clips at once: an oracle, or rules on the states of clips."""
AsyncClipLabeller: TypeAlias = AsyncLabeller[ClipQuery, Label]
"""Compares clips later: people."""


@dataclass(frozen=True)
class LabelSource:
    """Who compares the clips of a run, and where clips and answers are kept; of this run alone."""

    labeller: AsyncClipLabeller
    archive: ClipArchive
    """The clips of every label."""
    log: LabelLog
    """Which labels each round was given; a loop that begins anew is given them again."""
    poll_seconds: float = 2.0
    """Between two looks for answers that are waited for."""


class SynchronousLabeller:
    """A labeller that answers at once, as one that answers later: pairs are labelled when they are asked about.

    The more probable side is the answer. 0.5 is a tie, and an abstention is "cannot tell".
    """

    def __init__(self, labeller: ClipLabeller) -> None:
        self.labeller = labeller
        self._labels: list[Label] = []

    def ask(self, pairs: Sequence[ClipQuery]) -> int:
        """Label them; how many."""
        answers, name = labels_of(self.labeller, pairs), callable_name(self.labeller)
        for i, (query, prob) in enumerate(zip(pairs, answers.prob_first.tolist(), strict=True)):
            response: Response = "left" if prob > 0.5 else "right" if prob < 0.5 else "tie"
            if i in answers.abstained:
                response = "cannot tell"
            self._labels.append(Label(query.left.id, query.right.id, response, name, query.step))
        return len(pairs)

    def answers(self) -> list[Label]:
        """Labels made since the last call."""
        labels, self._labels = self._labels, []
        return labels
