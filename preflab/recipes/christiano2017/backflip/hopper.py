"""The backflip's hopper: one that may turn as often as it likes."""

import numpy as np
from jaxtyping import Float

from preflab.control.environments.mujoco_tasks import MujocoEnv

PITCH = 1
"""Where a hopper's observation has the pitch."""


class TurningHopper(MujocoEnv):
    """The hopper, whose pitch is seen within half a turn of upright."""

    def _observed(self) -> Float[np.ndarray, "env obs"]:
        seen = super()._observed().copy()
        seen[:, PITCH] = (seen[:, PITCH] + np.pi) % (2 * np.pi) - np.pi
        return seen
