"""The protocol of agents: act, learn from a trajectory under given rewards, be stopped and go on."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from preflab.control.trajectory import Trajectory


@runtime_checkable
class Agent(Protocol):
    """Learns from the rewards it is given; it never sees the environment's.

    Draws are keyed by seed and by the number of updates so far, so that an agent that is given another's state between
    two trajectories goes on as it.
    """

    def act(self, observations: Shaped[np.ndarray, "env ..."]) -> Shaped[np.ndarray, "env ..."]:
        """An action for every copy, drawn."""
        ...

    def update(self, trajectory: Trajectory, rewards: Float[np.ndarray, "time env"]) -> dict[str, float]:
        """Learn from what it just did. Returns metrics by name."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that the future depends on, between two trajectories."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        ...
