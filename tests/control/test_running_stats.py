"""Running moments against those of all values at once."""

import numpy as np
import pytest

from preflab.control.running_stats import RunningMeanStd


def test_moments_of_a_stream_are_those_of_all_values() -> None:
    values, running = np.random.default_rng(0).normal(3.0, 2.0, size=(1000, 2)), RunningMeanStd(2)
    for part in np.split(values, [1, 10, 400]):
        running.add(part)
    running.add(np.zeros((0, 2)))
    assert running.count == 1000
    assert running.mean == pytest.approx(values.mean(axis=0))
    assert running.std == pytest.approx(values.std(axis=0))


def test_nothing_seen_scales_by_one() -> None:
    assert RunningMeanStd(3).std.tolist() == [1.0, 1.0, 1.0]


def test_a_state_goes_on_as_the_other() -> None:
    rng = np.random.default_rng(1)
    one, other = RunningMeanStd(2), RunningMeanStd(2)
    one.add(rng.normal(size=(5, 2)))
    other.load_state(one.state())
    more = rng.normal(size=(7, 2))
    one.add(more)
    other.add(more)
    assert one.state().tolist() == other.state().tolist()
