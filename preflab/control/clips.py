"""Clips: a few consecutive steps of behaviour, cut from the episodes of a vectorised environment, and compared."""

from collections import deque
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from preflab.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Clip:
    """So many consecutive steps of one environment.

    ``true_reward`` is for the oracle and for reports alone; nothing that learns may read it.
    """

    id: int
    """Unique in a run; it does not say where the clip comes from."""
    observations: Shaped[np.ndarray, "..."]
    """[step ...]"""
    actions: Shaped[np.ndarray, "..."]
    """[step ...]"""
    true_reward: Float[np.ndarray, " step"]
    states: Shaped[np.ndarray, "..."] | None = None
    """[step state], what the simulator needs to draw each step again; None where the observations are pictures."""
    step: int = 0
    """Environment steps of the run when it began: how old the policy was."""
    stack: int = 1
    """Above 1: observations are the latest so many frames each [step stack ...], and every frame is kept once."""

    def __post_init__(self) -> None:
        if self.stack > 1 and len(self.observations):
            frames = _frames_of(self.observations, self.stack, self.id)
            object.__setattr__(self, "observations", stack_frames(frames, self.stack))
        lengths = {len(self.observations), len(self.actions), len(self.true_reward)}
        lengths |= set() if self.states is None else {len(self.states)}
        if len(lengths) != 1 or 0 in lengths:
            raise DataError(f"clip {self.id}: parts of lengths {sorted(lengths)}; all must be equal and above 0")
        if not np.isfinite(self.true_reward).all():
            raise DataError(
                f"clip {self.id}: the environment's reward is not finite at step {_first_bad(self.true_reward)}"
            )

    def __len__(self) -> int:
        return len(self.true_reward)

    @property
    def frames(self) -> Shaped[np.ndarray, "..."]:
        """The observations as a file keeps them: every frame once, [step + stack - 1 ...]; see `stack_frames`."""
        if self.stack == 1:
            return self.observations
        return np.concatenate([self.observations[0], self.observations[1:, -1]])


@dataclass(frozen=True, eq=False)
class ClipQuery:
    """Two clips that somebody is asked to compare."""

    left: Clip
    right: Clip
    step: int
    """Environment steps of the run when it is asked."""


@dataclass(frozen=True, eq=False)
class EpisodeSegment:
    """Consecutive steps of one copy within one episode, of which clips are cut."""

    observations: Shaped[np.ndarray, "time ..."]
    actions: Shaped[np.ndarray, "time ..."]
    true_reward: Float[np.ndarray, " time"]
    states: Shaped[np.ndarray, "time state"] | None = None
    step: int = 0
    """Environment steps of the run when it began."""


def stack_frames(frames: Shaped[np.ndarray, "frame ..."], stack: int) -> Shaped[np.ndarray, "step stack ..."]:
    """Each run of ``stack`` frames, the oldest first: a view that costs no memory and cannot be written to.

    ``step = frame - stack + 1``; step t holds frames t to t + stack - 1.
    """
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(frames, stack, axis=0), -1, 1)


def _frames_of(observations: np.ndarray, stack: int, clip: int) -> np.ndarray:
    """The frames that stacks were made of.

    Raises:
        DataError: they are no stacks of so many, or one does not go on where the last one was.
    """
    if observations.ndim < 2 or observations.shape[1] != stack:
        raise DataError(f"clip {clip}: expected observations [step {stack} ...], found {list(observations.shape)}")
    if not np.array_equal(observations[1:, :-1], observations[:-1, 1:]):
        raise DataError(f"clip {clip}: expected each stack to hold all but the oldest frame of the one before")
    return np.concatenate([observations[0], observations[1:, -1]])


def _first_bad(values: np.ndarray) -> int:
    return int(np.flatnonzero(~np.isfinite(values))[0])


class ClipStore:
    """The latest clips, which may be asked about: a ring, so that old behaviour is forgotten.

    Args:
        steps     length of every clip.
        capacity  clips kept.
        stack     frames in an observation, where it is the latest so many (4 on Atari): each is then kept once.

    Raises:
        ConfigError: either is below 1.
    """

    def __init__(self, steps: int, capacity: int, *, stack: int = 1) -> None:
        if steps < 1 or capacity < 2 or stack < 1:
            raise ConfigError(
                f"clips must have at least 1 step, 1 frame a stack and the store room for 2, "
                f"got {steps}, {stack} and {capacity}"
            )
        self.steps, self.capacity, self.stack = steps, capacity, stack
        self._clips: deque[Clip] = deque(maxlen=capacity)
        self._next = 0

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self._clips)

    def cut(self, segment: EpisodeSegment, *, n: int, rng: np.random.Generator) -> int:
        """Cut up to ``n`` clips out of a segment and keep them.

        Clips do not overlap. What is left over is spread by chance before, between and behind them, so that steps near
        either end are seen as often as others. A segment that is too short for a clip gives none.

        Returns:
            how many were cut.
        """
        time = len(segment.true_reward)
        count = min(n, time // self.steps)
        if count < 1:
            return 0
        spare = time - count * self.steps
        gaps = np.sort(rng.integers(0, spare + 1, size=count))
        for k, gap in enumerate(gaps.tolist()):
            part = slice(k * self.steps + gap, (k + 1) * self.steps + gap)
            observations = segment.observations[part]
            clip = Clip(
                id=self._next,
                observations=np.array(observations) if self.stack == 1 else observations,
                actions=np.array(segment.actions[part]),
                true_reward=np.array(segment.true_reward[part], dtype=np.float64),
                states=None if segment.states is None else np.array(segment.states[part]),
                step=segment.step + part.start,
                stack=self.stack,
            )
            self._clips.append(clip)
            self._next += 1
        return count

    def pairs(
        self, n: int, rng: np.random.Generator, *, exclude: AbstractSet[tuple[int, int]] = frozenset()
    ) -> list[tuple[Clip, Clip]]:
        """``n`` different pairs of different clips, none of which is in ``exclude``, in a random order of sides.

        Fewer where there are no more; none of fewer than two clips.
        """
        clips, taken = list(self._clips), set(exclude)
        ids = {clip.id for clip in clips}
        remaining = len(clips) * (len(clips) - 1) // 2 - sum(a in ids and b in ids for a, b in taken)
        pairs: list[tuple[Clip, Clip]] = []
        while len(pairs) < min(n, remaining):
            i, j = rng.choice(len(clips), size=2, replace=False).tolist()
            key = pair_key(clips[i], clips[j])
            if key not in taken:
                taken.add(key)
                pairs.append((clips[i], clips[j]))
        return pairs

    def state(self) -> list[Clip]:
        """The clips, oldest first."""
        return list(self._clips)

    def restore(self, clips: Sequence[Clip], next_id: int) -> None:
        """Put back what `state` gave; ids go on from ``next_id``."""
        self._clips = deque(clips, maxlen=self.capacity)
        self._next = next_id

    @property
    def next_id(self) -> int:
        """The id of the clip that is cut next."""
        return self._next


def pair_key(a: Clip, b: Clip) -> tuple[int, int]:
    """A pair, whichever side its clips are on."""
    return (min(a.id, b.id), max(a.id, b.id))
