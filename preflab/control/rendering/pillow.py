"""Pillow, which draws pictures, shrinks screens and writes videos: part of the extra ``control``."""

import importlib.util
from typing import Any

import numpy as np
from jaxtyping import UInt8

from preflab.errors import ConfigError


def load_pillow() -> Any:
    """The package, with its modules ``Image`` and ``ImageDraw``.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        raise ConfigError("pictures need the package pillow: pip install 'preflab[control]'")
    import PIL.Image
    import PIL.ImageDraw

    return PIL


def average_areas(screen: UInt8[np.ndarray, "height width"], side: int) -> UInt8[np.ndarray, "side side"]:
    """A screen of grey levels as a square of ``side`` pixels, each the mean of the area that it stands for.

    Raises:
        ConfigError: Pillow is not installed.
    """
    image = load_pillow().Image
    return np.asarray(image.fromarray(screen).resize((side, side), image.Resampling.BOX))
