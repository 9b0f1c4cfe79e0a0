"""What was answered of which pair of clips, and what is learned from; `label_log` keeps answers on the disk.

Ties count as half and half, "cannot tell" is kept and not learned from (Christiano et al. 2017, sec. 2.2.2).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float

from preflab.control.clips import Clip
from preflab.errors import ConfigError, DataError

Response: TypeAlias = Literal["left", "right", "tie", "cannot tell"]
RESPONSES: tuple[Response, ...] = get_args(Response)
_PROB: dict[str, float] = {"left": 1.0, "right": 0.0, "tie": 0.5}


@dataclass(frozen=True, slots=True)
class Label:
    """One answer."""

    left: int
    """Id of the clip on the left."""
    right: int
    response: Response
    labeller: str
    """``oracle``, or an annotator's pseudonym."""
    step: int
    """Environment steps of the run when it was asked."""
    seconds: float | None = None
    """How long a person took."""

    def __post_init__(self) -> None:
        if self.response not in RESPONSES:
            raise DataError(f"expected one of {', '.join(RESPONSES)}, got {self.response!r}", field="response")
        if self.left == self.right:
            raise DataError(f"clip {self.left} is compared with itself", field="right")

    @property
    def prob_left(self) -> float | None:
        """Probability that the left one is better; None where nobody could tell."""
        return _PROB.get(self.response)


class LabelBuffer:
    """The labels of a run and the clips they are of.

    Args:
        capacity  learn from this many of the latest labels alone (3,000 on Atari); None: from all.

    Raises:
        ConfigError: ``capacity`` is below 1.
    """

    def __init__(self, *, capacity: int | None = None) -> None:
        if capacity is not None and capacity < 1:
            raise ConfigError(f"capacity must be at least 1, got {capacity}")
        self.capacity = capacity
        self.all: list[Label] = []
        self.clips: dict[int, Clip] = {}

    def add(self, label: Label, left: Clip, right: Clip) -> None:
        """Keep an answer.

        Raises:
            DataError: the clips are not those of the label, or of different lengths,
                or of another than those of other labels.
        """
        if (left.id, right.id) != (label.left, label.right):
            raise DataError(f"the label is of clips {label.left} and {label.right}, not of {left.id} and {right.id}")
        if len(left) != len(right):
            raise DataError(
                f"clips {left.id} and {right.id} have {len(left)} and {len(right)} steps; expected equal ones"
            )
        if self.all and len(left) != (steps := len(self.clips[self.all[0].left])):
            raise DataError(f"clips {left.id} and {right.id} have {len(left)} steps, those of other labels {steps}")
        self.all.append(label)
        self.clips |= {left.id: left, right.id: right}

    @property
    def with_answer(self) -> list[Label]:
        """Those where somebody could tell, ties among them."""
        return [label for label in self.all if label.prob_left is not None]

    @property
    def usable(self) -> list[Label]:
        """Those that are learned from: the latest, without those where nobody could tell."""
        answers = self.with_answer
        return answers if self.capacity is None else answers[-self.capacity :]

    def counts(self) -> dict[str, int]:
        """How many of each answer."""
        counts = Counter(label.response for label in self.all)
        return {response: counts.get(response, 0) for response in RESPONSES}

    def arrays(self, labels: Sequence[Label]) -> tuple[np.ndarray, np.ndarray, Float[np.ndarray, " pair"]]:
        """Labels as arrays. Stacked frames are written out: ask for a batch of them, not for all; see `LabelledPairs`.

        Returns:
            observations [pair 2 step ...], actions [pair 2 step ...], prob_left [pair]; the left clip first.
        """
        sides = [(self.clips[label.left], self.clips[label.right]) for label in labels]
        observations = np.stack([np.stack([a.observations, b.observations]) for a, b in sides])
        actions = np.stack([np.stack([a.actions, b.actions]) for a, b in sides])
        return observations, actions, np.array([label.prob_left for label in labels], dtype=np.float64)
