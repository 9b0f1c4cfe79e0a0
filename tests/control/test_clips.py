"""Clips and their store: what is cut where, which pairs may be asked, and what is refused."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.control.clips import Clip, ClipStore, EpisodeSegment, pair_key, stack_frames
from preflab.errors import ConfigError, DataError


def segment(n: int, step: int = 0) -> EpisodeSegment:
    at = np.arange(n, dtype=np.float64)
    return EpisodeSegment(at[:, None], at[:, None] + 0.5, -at, step=step)


def filled(n: int, *, steps: int = 4, capacity: int = 100) -> ClipStore:
    store, rng = ClipStore(steps, capacity), np.random.default_rng(0)
    for k in range(n):
        store.cut(segment(steps, k), rng=rng, n=1)
    return store


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 60), st.integers(1, 5), st.integers(0, 10**6))
def test_clips_are_whole_consecutive_and_apart(steps: int, time: int, n: int, seed: int) -> None:
    store = ClipStore(steps, 100)
    cut = store.cut(segment(time, 1000), rng=np.random.default_rng(seed), n=n)
    assert cut == len(store) == min(n, time // steps)
    seen: list[float] = []
    for clip in store:
        own = clip.observations[:, 0]
        assert np.array_equal(np.diff(own), np.ones(steps - 1))
        assert np.array_equal(clip.actions[:, 0], own + 0.5)
        assert np.array_equal(clip.true_reward, -own)
        assert clip.step == 1000 + own[0]
        seen += own.tolist()
    assert len(set(seen)) == len(seen)


def test_steps_near_the_end_of_an_episode_are_seen_too() -> None:
    rng, seen = np.random.default_rng(0), Counter[float]()
    for _ in range(600):
        store = ClipStore(5, 10)
        store.cut(segment(12), rng=rng, n=2)
        seen.update(own for clip in store for own in clip.observations[:, 0].tolist())
    assert min(seen[at] for at in (0.0, 11.0)) > 150, "a uniform start would show the ends to few"


def test_the_oldest_are_forgotten_and_ids_are_never_used_twice() -> None:
    store = filled(7, capacity=3)
    assert [clip.id for clip in store] == [4, 5, 6]
    again = ClipStore(4, 3)
    again.restore(store.state(), store.next_id)
    again.cut(segment(4), rng=np.random.default_rng(0), n=1)
    assert [clip.id for clip in again] == [5, 6, 7]


def test_pairs_are_of_different_clips_and_never_asked_twice() -> None:
    store = filled(5)
    asked = {(0, 1), (2, 3), (77, 99)}
    found = store.pairs(100, np.random.default_rng(0), exclude=asked)
    keys = [pair_key(a, b) for a, b in found]
    assert len(found) == 10 - 2
    assert len(set(keys)) == 8
    assert not set(keys) & asked
    assert {a.id < b.id for a, b in found} == {True, False}, "either clip may stand on the left"
    assert ClipStore(4, 9).pairs(3, np.random.default_rng(0)) == []


def test_what_is_no_clip_is_refused() -> None:
    parts = segment(4)
    observations, actions, reward = parts.observations, parts.actions, parts.true_reward
    with pytest.raises(DataError, match=r"lengths \[3, 4\]"):
        Clip(0, observations, actions[:3], reward)
    with pytest.raises(DataError, match="not finite at step 2"):
        Clip(0, observations, actions, np.array([0.0, 1.0, np.nan, 2.0]))
    with pytest.raises(ConfigError, match="at least 1 step"):
        ClipStore(0, 10)


def test_stacked_frames_are_kept_once() -> None:
    """Six steps of stacks of 4: 9 frames are kept, not 24; step t holds frames t to t + 3."""
    frames = np.arange(30 * 5, dtype=np.uint8).reshape(30, 5)
    stacks = stack_frames(frames, 4)
    assert stacks.shape == (27, 4, 5)
    assert np.array_equal(stacks[2], frames[2:6])
    store = ClipStore(6, 10, stack=4)
    assert (
        store.cut(EpisodeSegment(stacks, np.zeros(27), np.zeros(27), step=100), rng=np.random.default_rng(0), n=2) == 2
    )
    for clip in store:
        at = clip.step - 100
        assert np.array_equal(clip.observations, stacks[at : at + 6])
        assert np.array_equal(clip.frames, frames[at : at + 9])
        assert clip.observations.strides == (5, 5, 1), "a step is one frame further in the same memory"
        assert not np.shares_memory(clip.observations, frames), "the clip holds its own frames and not the segment's"
        again = Clip(0, stack_frames(clip.frames, 4), clip.actions, clip.true_reward, stack=4)
        assert np.array_equal(again.observations, clip.observations)
    plain = Clip(0, frames, np.zeros(30), np.zeros(30))
    assert plain.frames is plain.observations


def test_stacks_that_are_none_are_refused() -> None:
    frames = np.arange(20.0)
    with pytest.raises(DataError, match=r"clip 7: expected observations \[step 4 ...\], found \[18, 3\]"):
        Clip(7, stack_frames(frames, 3), np.zeros(18), np.zeros(18), stack=4)
    torn = np.concatenate([stack_frames(frames, 4)[:3], stack_frames(frames, 4)[5:8]])
    with pytest.raises(DataError, match="all but the oldest frame"):
        Clip(7, torn, np.zeros(6), np.zeros(6), stack=4)
    with pytest.raises(ConfigError, match="1 frame a stack"):
        ClipStore(5, 10, stack=0)
