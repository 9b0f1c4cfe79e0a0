"""The three seams: who samples, who scores, who labels. A plain function will do for each."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue


@runtime_checkable
class Sampler(Protocol):
    """Continues dialogues."""

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        """Dialogues that await a turn -> the same, one turn longer."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Says how good each finished dialogue is."""

    def __call__(self, dialogues: Sequence[Dialogue]) -> Float[Tensor, " dialogue"]:
        """Nats; higher is better; only differences matter."""
        ...


@runtime_checkable
class Labeller(Protocol):
    """Says which of two replies is better: a person, a model, a rule."""

    def __call__(self, comparisons: Sequence[Comparison]) -> Float[Tensor, " pair"]:
        """Probability in [0, 1] that the first reply of each two-reply comparison is the better one."""
        ...
