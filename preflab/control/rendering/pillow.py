"""Pillow, which draws pictures and writes films: part of the extra ``control``."""

import importlib.util
from typing import Any

from preflab.errors import ConfigError


def load_pillow() -> Any:
    """The package with what is used of it.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        raise ConfigError("pictures need the package pillow: pip install 'preflab[control]'")
    import PIL.Image
    import PIL.ImageDraw

    return PIL
