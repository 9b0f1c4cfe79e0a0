"""What Pillow does for screens, by hand."""

import importlib.util

import numpy as np
import pytest

from preflab.control.rendering.pillow import average_areas, load_pillow
from preflab.errors import ConfigError


def test_areas_are_averaged() -> None:
    pytest.importorskip("PIL", reason="needs the extra 'control' (PIL)")
    screen = np.array([[0, 10, 20, 30], [10, 20, 30, 40]], dtype=np.uint8)
    assert average_areas(screen, 2).tolist() == [[5, 25], [15, 35]]  # one row, two columns each
    assert average_areas(screen, 1).tolist() == [[20]]


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'preflab\[control\]'"):
        load_pillow()
