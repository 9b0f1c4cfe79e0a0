"""The backflip's hopper: it may turn as often as it likes, its turns are counted, and its episodes are rendered."""

import numpy as np
from jaxtyping import Float

from preflab.control.environments.mujoco_tasks import MujocoEnv, task_named
from preflab.control.rendering.clip_video import encode_video
from preflab.control.rendering.mujoco import BodyRenderer

HEIGHT, PITCH = 1, 2
"""Where a hopper's joint positions hold the height of its torso (metres) and its pitch (radians, forwards positive)."""
OBSERVED_PITCH = 1
"""Where its observation holds the pitch."""
FPS = 40.0
"""At which clips of it are shown."""


def turning_hopper(copies: int, *, seed: int, horizon: int | None = None) -> MujocoEnv:
    """Copies of the hopper whose pitch is observed within half a turn of upright."""
    return MujocoEnv("hopper", copies, seed=seed, horizon=horizon, observe=_observe)


def _observe(qpos: np.ndarray, qvel: np.ndarray) -> Float[np.ndarray, "env obs"]:
    observations = task_named("hopper").observe(qpos, qvel).astype(np.float32)
    pitch = observations[:, OBSERVED_PITCH]
    observations[:, OBSERVED_PITCH] = (pitch + np.pi) % (2 * np.pi) - np.pi
    return observations


def count_flips(pitch: Float[np.ndarray, "time copy"]) -> Float[np.ndarray, " copy"]:
    """Turns backwards over an episode, counted from the pitch at each step; forwards is negative."""
    return np.asarray((pitch[0] - pitch[-1]) / (2 * np.pi), dtype=np.float64)


def render_episode(states: Float[np.ndarray, "step qpos"], fps: float) -> bytes:
    """Every second step at half the rate: an episode of two seconds, slowed down as people see clips."""
    renderer = BodyRenderer("hopper")
    return encode_video([renderer(state) for state in states[::2]], fps / 2)
