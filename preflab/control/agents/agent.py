"""What the loop asks of an agent: act, learn from a stretch under rewards that it is handed, be stopped and go on."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from preflab.control.trajectory import Trajectory


@runtime_checkable
class Agent(Protocol):
    """Learns from rewards that others give; it never sees the environment's.

    Draws are keyed by seed and by the number of updates so far, so that an agent that is given another's state between
    two stretches goes on as it.
    """

    def act(self, observations: Shaped[np.ndarray, "env ..."]) -> Shaped[np.ndarray, "env ..."]:
        """An action for every copy, drawn."""
        ...

    def update(self, stretch: Trajectory, rewards: Float[np.ndarray, "time env"]) -> dict[str, float]:
        """Learn from what was just done; what is worth logging."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on, between two stretches."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        ...
