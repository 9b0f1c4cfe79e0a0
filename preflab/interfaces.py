"""The seams: what samples, what scores, what labels.

A labeller comes in two forms. `Labeller` answers at once: a model, a preference model, rules, an oracle.
`AsyncLabeller` answers later: people. Both are generic over what is compared: a two-reply
`preflab.data.comparison.Comparison`, or a pair of clips of behaviour.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError

Pair_contra = TypeVar("Pair_contra", contravariant=True)
"""What is compared: two things of one kind, the first and the second."""
Answer_co = TypeVar("Answer_co", covariant=True)
"""What an asynchronous labeller answers: which pair, which of the two, by whom."""


@runtime_checkable
class Sampler(Protocol):
    """Continues dialogues. A plain function will do."""

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        """Dialogues that await a turn -> the same, one turn longer."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Scores finished dialogues. A plain function will do."""

    def __call__(self, dialogues: Sequence[Dialogue]) -> Float[Tensor, " dialogue"]:
        """Nats; higher is better; only differences matter."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What a labeller answered to a batch of pairs.

    Raises:
        DataError: a probability is outside [0, 1]; a NaN has no reason, or a reason has no NaN.
    """

    prob_first: Float[Tensor, " pair"]
    """Probability in [0, 1] that the first of each pair is the better one; 0.5 is a tie; NaN is an abstention."""
    abstained: Mapping[int, str] = field(default_factory=dict)
    """Index of each pair that was not labelled -> the reason, a fixed phrase that can be counted."""

    def __post_init__(self) -> None:
        unlabelled = set(torch.nonzero(self.prob_first.isnan()).flatten().tolist())
        if unlabelled != set(self.abstained):
            i = min(unlabelled ^ set(self.abstained))
            raise DataError(f"pair {i}: expected NaN with a reason, or neither", field="abstained")
        for i, prob in enumerate(self.prob_first.tolist()):
            if prob < 0 or prob > 1:
                raise DataError(f"pair {i}: expected a probability in [0, 1], found {prob}", field="prob_first")

    @classmethod
    def of(cls, answers: Sequence[float | str]) -> "Labels":
        """Labels of probabilities; a text stands for an abstention and is its reason."""
        probs = [float("nan") if isinstance(answer, str) else float(answer) for answer in answers]
        reasons = {i: answer for i, answer in enumerate(answers) if isinstance(answer, str)}
        return cls(torch.tensor(probs, dtype=torch.float64), reasons)

    def __len__(self) -> int:
        return len(self.prob_first)

    def reasons(self) -> Counter[str]:
        """Reason -> how many pairs were not labelled for it."""
        return Counter(self.abstained.values())


@runtime_checkable
class Labeller(Protocol[Pair_contra]):
    """Judges which of two is better, at once. A judge that sees a pair in one order only shows it in both itself."""

    name: str
    """Stands as the annotator of the labels. Labellers that may answer differently have different names."""

    def __call__(self, pairs: Sequence[Pair_contra]) -> Labels:
        """Labels of the pairs, in their order: the whole batch at once."""
        ...


@runtime_checkable
class AsyncLabeller(Protocol[Pair_contra, Answer_co]):
    """Judges which of two is better, later. What is still unanswered is the labeller's to store over a kill."""

    def ask(self, pairs: Sequence[Pair_contra]) -> int:
        """Put up pairs; those that are up already change nothing. How many are new."""
        ...

    def answers(self) -> Sequence[Answer_co]:
        """Answers that were not handed over yet, in the order they came; never waits."""
        ...
