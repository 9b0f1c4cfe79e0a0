"""A synthetic labeller of backflips: it scores a clip's states in place of a person.

No reward exists for it (Christiano et al. 2017, sec. 3.2), and the hopper task's own is not used. The labeller
sees what a person sees, the body's positions at each step, and answers at once; its thresholds are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from preflab.checks import check_at_least, check_within, refuse_unread
from preflab.config_overrides import check_types
from preflab.control.clips import ClipQuery
from preflab.errors import DataError
from preflab.interfaces import Labels
from preflab.recipes.christiano2017.backflip.hopper import HEIGHT, PITCH


@dataclass(frozen=True, kw_only=True)
class SyntheticLabellerConfig:
    """How clips are scored: a sum of points, and what is too close to call."""

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


def backward_turn(states: Float[np.ndarray, "step qpos"], high: float) -> float:
    """Radians that the torso turned backwards, forwards negative, in steps that begin and end at least so high."""
    height, turned = states[:, HEIGHT], -np.diff(states[:, PITCH])
    return float(turned[(height[:-1] >= high) & (height[1:] >= high)].sum())


def score_clip(states: Float[np.ndarray, "step qpos"], config: SyntheticLabellerConfig | None = None) -> float:
    """How good a clip is."""
    c = config or SyntheticLabellerConfig()
    turned, (height, pitch) = backward_turn(states, c.high), states[-1, [HEIGHT, PITCH]]
    landed = turned >= np.pi and np.cos(pitch) >= c.upright and height >= c.standing
    return float(c.turn * turned + c.height * states[:, HEIGHT].mean() + c.landing * landed)


class SyntheticLabeller:
    """A labeller that answers at once, by the points of each clip."""

    name = "judge"

    def __init__(self, config: SyntheticLabellerConfig | None = None) -> None:
        self.config = config or SyntheticLabellerConfig()

    def __call__(self, pairs: Sequence[ClipQuery]) -> Labels:
        """1 for the left clip, 0 for the right one, 0.5 for a tie; nothing is drawn.

        Raises:
            DataError: a clip has no states.
        """
        return Labels.of([self._answer(query) for query in pairs])

    def _answer(self, query: ClipQuery) -> float:
        left, right = query.left, query.right
        if left.states is None or right.states is None:
            raise DataError(f"clips {left.id} and {right.id}: scoring states needs states")
        gap = score_clip(left.states, self.config) - score_clip(right.states, self.config)
        return 0.5 if abs(gap) <= self.config.tie else float(gap > 0)
