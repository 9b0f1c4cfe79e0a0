"""Videos: what a decoder finds in them, frame by frame, and how long each frame lasts."""

import io

import numpy as np
import pytest

from preflab.control.clips import Clip
from preflab.control.rendering.clip_video import VideoFormat, clip_video, encode_video, render_clip, side_by_side
from preflab.control.rendering.screens import ScreenRenderer
from preflab.errors import ConfigError, DataError

PIL = pytest.importorskip("PIL.Image", reason="needs the extra 'control' (pillow)")


def plain(n: int, *, height: int = 6, width: int = 10) -> list[np.ndarray]:
    """Frames of one grey each, none like its neighbour."""
    return [np.full((height, width, 3), 20 * k + 10, np.uint8) for k in range(n)]


def decoded(video: bytes) -> tuple[list[np.ndarray], list[int], int]:
    """Frames, milliseconds of each, and how often it is shown (0: for ever)."""
    picture = PIL.open(io.BytesIO(video))
    frames, lasts = [], []
    for k in range(picture.n_frames):
        picture.seek(k)
        frames.append(np.asarray(picture.convert("RGB")))
        lasts.append(int(picture.info["duration"]))
    return frames, lasts, int(picture.info["loop"])


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_video_holds_its_frames_and_goes_on_for_ever(kind: VideoFormat) -> None:
    frames, lasts, loop = decoded(encode_video(plain(5), 10.0, kind=kind))
    assert loop == 0
    assert all(np.array_equal(a, b) for a, b in zip(frames, plain(5), strict=True))
    assert lasts == [100, 100, 100, 100, 800]  # the last once and seven times more


def test_frames_last_whole_hundredths_and_none_drifts() -> None:
    # At 40 fps frames end at 25, 50, 75, 100 ms; to the nearest 10 (half to even): 20, 50, 80, 100.
    _, lasts, _ = decoded(encode_video(plain(5), 40.0, pause=0))
    assert lasts == [20, 30, 30, 20, 20]
    assert decoded(encode_video(plain(5), 40.0, kind="webp", pause=0))[1] == [25, 25, 25, 25, 25]


def test_still_frames_keep_their_time() -> None:
    still = [plain(1)[0]] * 4
    assert sum(decoded(encode_video([*still, plain(2)[1]], 10.0, pause=0))[1]) == 500


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_the_same_frames_give_the_same_bytes(kind: VideoFormat) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(4)]
    assert encode_video(frames, 20.0, kind=kind) == encode_video([frame.copy() for frame in frames], 20.0, kind=kind)
    assert encode_video(frames, 20.0, kind=kind) != encode_video(frames[::-1], 20.0, kind=kind)


def test_a_clip_is_drawn_from_its_states_or_from_its_screens() -> None:
    screens = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 1, 2, 4)
    clip = Clip(id=1, observations=screens, actions=np.zeros(3), true_reward=np.zeros(3))
    assert [int(frame[0, 0, 0]) for frame in render_clip(clip, ScreenRenderer(1))] == [0, 8, 16]
    assert len(decoded(clip_video(clip, ScreenRenderer(1), 15.0))[0]) == 3
    by_state = Clip(1, np.zeros((3, 2)), np.zeros(3), np.zeros(3), states=np.array([[1.0], [2.0], [3.0]]))
    found = render_clip(by_state, lambda state: np.full((2, 2, 3), state[0], np.uint8))
    assert [int(frame[0, 0, 0]) for frame in found] == [1, 2, 3]


def test_two_videos_side_by_side() -> None:
    left, right = plain(2), [frame[:, :4] + 1 for frame in plain(2)]
    both = side_by_side(left, right, gap=3)
    assert both[1].shape == (6, 10 + 3 + 4, 3)
    assert both[1][0, :, 0].tolist() == [30] * 10 + [255] * 3 + [31] * 4
    with pytest.raises(DataError, match="equal length"):
        side_by_side(left, right[:1])


@pytest.mark.parametrize(("fps", "pause"), [(0.0, 7), (60.0, 7), (-1.0, 7), (10.0, -1)])
def test_what_no_video_can_be_is_refused(fps: float, pause: int) -> None:
    with pytest.raises(ConfigError, match="fps in"):
        encode_video(plain(2), fps, pause=pause)


def test_frames_of_unequal_size_or_none_are_refused() -> None:
    with pytest.raises(DataError, match="got 0 of"):
        encode_video([], 10.0)
    with pytest.raises(DataError, match="one size"):
        encode_video([*plain(1), *plain(1, height=7)], 10.0)
