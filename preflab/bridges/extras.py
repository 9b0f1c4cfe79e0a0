"""Libraries that come with an extra only, and what to say where they are not installed."""

from importlib import import_module
from typing import Any

from preflab.errors import ConfigError

EXTRAS = {"inspect_ai": "inspect", "lm_eval": "lm-eval"}
"""Module -> the extra that brings it."""


def import_extra(module: str) -> Any:
    """A module of an optional library.

    Raises:
        ConfigError: it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        root = (error.name or "").split(".")[0]
        if root not in EXTRAS:
            raise
        raise ConfigError(
            f"{root} is not installed; this needs the extra {EXTRAS[root]!r}: pip install 'preflab[{EXTRAS[root]}]'"
        ) from error
