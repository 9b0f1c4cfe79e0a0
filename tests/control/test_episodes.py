"""Returns of whole episodes, by hand."""

import numpy as np
import pytest

from preflab.control.episodes import Episodes
from preflab.control.trajectory import rollout
from tests.control.walk import Walk


def stretch_of(env: Walk, steps: int, speeds: list[float]):  # type: ignore[no-untyped-def]
    return rollout(env, lambda seen: np.array(speeds, dtype=np.float32)[: len(seen), None], steps)


def test_an_episode_over_two_stretches_is_summed_and_counted_once() -> None:
    env, episodes = Walk(2, horizon=3), Episodes(2)
    first = stretch_of(env, 2, [1.0, -1.0])
    assert episodes.add(first, np.ones((2, 2))) == {"episodes": 0.0}
    second = stretch_of(env, 2, [1.0, -1.0])
    told = episodes.add(second, np.ones((2, 2)))
    assert told == {"episodes": 2.0, "true_return": 0.0, "handed_return": 3.0}  # 1 + 2 + 3 and its mirror


def test_returns_in_the_same_order_correlate_fully_and_in_the_opposite_one_not_at_all() -> None:
    speeds = np.linspace(-1, 1, 12).tolist()
    for sign in (1.0, -1.0):
        env, episodes = Walk(12, horizon=2), Episodes(12)
        stretch = stretch_of(env, 2, speeds)
        assert episodes.add(stretch, sign * stretch.true_reward)["rank_correlation"] == pytest.approx(sign)


def test_a_constant_side_has_no_correlation() -> None:
    env, episodes = Walk(12, horizon=2), Episodes(12)
    stretch = stretch_of(env, 2, np.linspace(-1, 1, 12).tolist())
    assert "rank_correlation" not in episodes.add(stretch, np.ones((2, 12)))


def test_play_without_ends_is_summed_over_windows() -> None:
    env, episodes = Walk(1, horizon=100), Episodes(1, window=4)
    assert episodes.add(stretch_of(env, 3, [1.0]), np.ones((3, 1))) == {"episodes": 0.0}
    told = episodes.add(stretch_of(env, 6, [1.0]), np.ones((6, 1)))
    assert told == {"episodes": 2.0, "true_return": (10 + 26) / 2, "handed_return": 4.0}  # 1 to 4, 5 to 8; 9 is left
    assert episodes.latest_returns == [(10.0, 4.0), (26.0, 4.0)]


@pytest.mark.parametrize("window", [None, 3])
def test_a_state_goes_on_as_the_other(window: int | None) -> None:
    env = Walk(2, horizon=3)
    one, other = Episodes(2, window=window), Episodes(2, window=window)
    first, second = stretch_of(env, 4, [1.0, 0.5]), stretch_of(env, 4, [1.0, 0.5])
    one.add(first, first.true_reward)
    other.load_state(one.state())
    assert one.add(second, second.true_reward) == other.add(second, second.true_reward)
