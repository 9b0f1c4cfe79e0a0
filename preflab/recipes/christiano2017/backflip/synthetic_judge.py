"""What a backflip is: a scripted judge of a clip's states in place of a person, and a count of turns for reports.

No reward exists for it (Christiano et al. 2017, sec. 3.2), and the hopper task's own is not used. The judge sees what a
person sees, the body's positions at each step, and answers at once; its thresholds are ours.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from preflab.checks import check_at_least, check_within, refuse_unread
from preflab.config_overrides import check_types
from preflab.control.clips import Clip
from preflab.control.rewards.labels import Response
from preflab.errors import DataError

HEIGHT, PITCH = 1, 2
"""Where a hopper's joint positions hold the height of its torso (metres) and its pitch (radians, forwards positive)."""


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """How clips are judged: a sum of points, and what is too close to call."""

    turn: float = 2.0
    """Points for each radian that the torso turns backwards while it is high enough; forwards counts against it."""
    high: float = 0.5
    """Torso's height in metres from which turning counts: a flip is in the air, rolling on the ground is none."""
    height: float = 1.0
    """Points for each metre of the torso's mean height."""
    landing: float = 2.0
    """Points for ending upright after at least half a turn."""
    upright: float = 0.7
    """Upright: the cosine of the pitch is at least this (within 46 degrees) ..."""
    standing: float = 0.8
    """... and the torso at least so high, in metres; it stands at 1.25."""
    tie: float = 0.1
    """Points no further apart than this are a tie."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 0, "tie")
        check_within(self, "[-1, 1]", "upright")
        if self.landing == 0:
            refuse_unread(self, "landing=0", "upright", "standing")
            if self.turn == 0:
                refuse_unread(self, "turn=0 and landing=0", "high")


def turned_back(states: Float[np.ndarray, "step qpos"], high: float) -> float:
    """Radians that the torso turned backwards, forwards negative, in steps that begin and end at least so high."""
    height, turned = states[:, HEIGHT], -np.diff(states[:, PITCH])
    return float(turned[(height[:-1] >= high) & (height[1:] >= high)].sum())


def points(states: Float[np.ndarray, "step qpos"], config: JudgeConfig | None = None) -> float:
    """How good a clip is."""
    c = config or JudgeConfig()
    turned, (height, pitch) = turned_back(states, c.high), states[-1, [HEIGHT, PITCH]]
    landed = turned >= np.pi and np.cos(pitch) >= c.upright and height >= c.standing
    return float(c.turn * turned + c.height * states[:, HEIGHT].mean() + c.landing * landed)


class Judge:
    """A labeller that answers at once, by the points of each clip.

    Args:
        config  what gives points.
    """

    name = "judge"

    def __init__(self, config: JudgeConfig | None = None) -> None:
        self.config = config or JudgeConfig()

    def __call__(self, left: Clip, right: Clip, rng: np.random.Generator | None = None) -> Response:
        """Which of the two is better; nothing is drawn.

        Raises:
            DataError: a clip has no states.
        """
        del rng
        if left.states is None or right.states is None:
            raise DataError(f"clips {left.id} and {right.id}: a judge of states needs states")
        gap = points(left.states, self.config) - points(right.states, self.config)
        return "tie" if abs(gap) <= self.config.tie else "left" if gap > 0 else "right"


def flips(pitch: Float[np.ndarray, "time copy"]) -> Float[np.ndarray, " copy"]:
    """Turns backwards over an episode, counted from the pitch at each step; forwards is negative."""
    return np.asarray((pitch[0] - pitch[-1]) / (2 * np.pi), dtype=np.float64)
