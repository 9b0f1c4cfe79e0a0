"""Screens of games enlarged."""

import numpy as np
import pytest

from preflab.control.rendering.screens import ScreenRenderer
from preflab.errors import ConfigError, DataError


def test_the_newest_screen_is_enlarged_without_smoothing() -> None:
    stack = np.array([[[9, 9], [9, 9]], [[1, 2], [3, 4]]], dtype=np.uint8)
    shown = ScreenRenderer(2)(stack)
    expected = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])
    assert shown.shape == (4, 4, 3) and shown.dtype == np.uint8
    assert all(np.array_equal(shown[..., k], expected) for k in range(3))
    assert np.array_equal(ScreenRenderer(2)(stack[-1]), shown)


@pytest.mark.parametrize("bad", [np.zeros((4, 84, 84), np.float32), np.zeros(4, np.uint8), np.zeros((0, 4), np.uint8)])
def test_what_is_no_screen_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="screens of grey levels"):
        ScreenRenderer()(bad)
    with pytest.raises(ConfigError, match="scale"):
        ScreenRenderer(0)
