"""Pictures of observations that are screens of a game already."""

import numpy as np
from jaxtyping import Shaped, UInt8

from preflab.errors import ConfigError, DataError


class ScreenRenderer:
    """Shows the newest screen of a stack, enlarged without smoothing: a `preflab.control.environments.env.Renderer`.

    Args:
        scale  how many pixels each becomes along either side.

    Raises:
        ConfigError: ``scale`` is below 1.
    """

    def __init__(self, scale: int = 3) -> None:
        if scale < 1:
            raise ConfigError(f"scale must be at least 1, got {scale}")
        self.scale = scale

    def __call__(self, state: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "height width 3"]:
        """One picture.

        Args:
            state  [screen height width] grey levels from 0 to 255, the newest screen last; or one [height width].

        Raises:
            DataError: of another shape or type.
        """
        if state.ndim not in (2, 3) or state.dtype != np.uint8 or 0 in state.shape:
            raise DataError(f"expected screens of grey levels as uint8, got {state.dtype} of {state.shape}")
        newest = state if state.ndim == 2 else state[-1]
        large = newest.repeat(self.scale, axis=0).repeat(self.scale, axis=1)
        return np.ascontiguousarray(np.broadcast_to(large[..., None], (*large.shape, 3)))
