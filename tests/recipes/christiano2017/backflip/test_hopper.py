"""The hopper that may turn as often as it likes: what it sees of its pitch, how turns are counted, what is rendered."""

import numpy as np
import pytest

from preflab.recipes.christiano2017.backflip.hopper import count_flips, render_episode, turning_hopper


def test_turns_of_an_episode_are_counted_backwards() -> None:
    pitch = np.array([[0.1, 0.0], [-3.0, 1.0], [0.1 - 4 * np.pi, np.pi]])
    assert count_flips(pitch) == pytest.approx([2.0, -0.5])


def test_pitch_is_observed_within_half_a_turn() -> None:
    for package in ("mujoco", "gymnasium"):
        pytest.importorskip(package, reason=f"needs the extra 'control' ({package})")
    env = turning_hopper(2, seed=0)
    state = env.state()
    state["full"][:, 3] = state["full"].new_tensor([-7.0, 0.5])  # time, x, z, pitch
    env.load_state(state)
    assert env.observations[:, 1] == pytest.approx([-7.0 + 2 * np.pi, 0.5], abs=1e-5)


def test_an_episode_is_rendered_at_half_the_rate() -> None:
    for package in ("mujoco", "gymnasium", "PIL"):
        pytest.importorskip(package, reason=f"needs the extra 'control' ({package})")
    standing = np.tile(np.array([0.0, 1.25, 0.0, 0.0, 0.0, 0.0], dtype=np.float32), (4, 1))
    standing[2, 2] = -1.0  # the two frames that are shown differ
    assert render_episode(standing, 40.0).startswith(b"GIF8")
    assert render_episode(standing, 40.0) != render_episode(standing[::-1], 40.0)
