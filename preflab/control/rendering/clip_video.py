"""Clips as animated pictures that any browser shows: GIF, or WebP (smaller, all colours).

No MP4: that takes an encoder such as ffmpeg, which is no Python package. The same frames give the same bytes under one
version of Pillow, so that a video can be named by its hash.
"""

import io
import itertools
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import UInt8

from preflab.control.clips import Clip
from preflab.control.environments.env import Renderer
from preflab.control.rendering.pillow import load_pillow
from preflab.errors import ConfigError, DataError

VideoFormat: TypeAlias = Literal["gif", "webp"]
PAUSE = 7
"""Times that the last frame is shown again before the video begins anew."""
_FASTEST = 50.0
_COLOURS = 64


def render_clip(clip: Clip, renderer: Renderer) -> list[UInt8[np.ndarray, "height width 3"]]:
    """A picture of each step: from the simulator's states, or from observations that are pictures themselves."""
    return [renderer(state) for state in (clip.observations if clip.states is None else clip.states)]


def encode_video(
    frames: Sequence[UInt8[np.ndarray, "_ _ 3"]], fps: float, *, kind: VideoFormat = "gif", pause: int = PAUSE
) -> bytes:
    """An endless video.

    GIF keeps time in hundredths of a second: frames last a hundredth more or less, so that none drifts. Alike
    neighbours are stored once, for as long as all of them.

    Args:
        frames  pictures of one size, uint8.
        fps     frames a second, at most 50: browsers slow down what is faster.
        pause   how many more times the last frame is shown.

    Raises:
        ConfigError: no such format, fps outside (0, 50], a negative pause, or Pillow is not installed.
        DataError: no frames, or of unequal size.
    """
    if kind not in get_args(VideoFormat) or not 0 < fps <= _FASTEST or pause < 0:
        raise ConfigError(f"expected gif or webp, fps in (0, {_FASTEST:g}], pause of 0 or more: {kind}, {fps}, {pause}")
    sizes = {frame.shape for frame in frames}
    if len(sizes) != 1:
        raise DataError(f"a video needs frames of one size, got {len(frames)} of {sorted(sizes)}")
    pillow = load_pillow()
    pictures = [pillow.Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    lasts = _durations(len(frames), fps, pause, unit=10 if kind == "gif" else 1)
    buffer = io.BytesIO()
    if kind == "gif":
        first, *following = _few_colours(pillow, pictures)
        first.save(buffer, "GIF", save_all=True, append_images=following, duration=lasts, loop=0, optimize=False)
    else:
        first, *following = pictures
        settings = {"lossless": True, "quality": 20, "method": 0}
        first.save(buffer, "WEBP", save_all=True, append_images=following, duration=lasts, loop=0, **settings)
    return buffer.getvalue()


def clip_video(clip: Clip, renderer: Renderer, fps: float, *, kind: VideoFormat = "gif") -> bytes:
    """A clip as a video."""
    return encode_video(render_clip(clip, renderer), fps, kind=kind)


def side_by_side(
    left: Sequence[UInt8[np.ndarray, "_ _ 3"]], right: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, gap: int = 8
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Frames of two videos as those of one, with a white gap of so many pixels between them.

    Raises:
        DataError: they are of unequal length or height.
    """
    if len(left) != len(right) or {len(a) for a in left} != {len(b) for b in right}:
        raise DataError(f"expected videos of equal length and height, got {len(left)} and {len(right)} frames")
    between = [np.full((len(a), gap, 3), 255, np.uint8) for a in left]
    return [np.concatenate([a, white, b], axis=1) for a, white, b in zip(left, between, right, strict=True)]


def _durations(n: int, fps: float, pause: int, *, unit: int) -> list[int]:
    """Milliseconds of each frame, whole multiples of ``unit``; every frame ends within half a unit of its time."""
    ends = [round(1000 * k / fps / unit) * unit for k in (*range(n), n + pause)]
    return [after - before for before, after in itertools.pairwise(ends)]


def _few_colours(pillow: Any, pictures: Sequence[Any]) -> list[Any]:
    """Frames that share one palette, drawn from several of them, without dithering: still parts stay still."""
    sample = [np.asarray(pictures[k]) for k in sorted({round(k) for k in np.linspace(0, len(pictures) - 1, 8)})]
    palette = pillow.Image.fromarray(np.concatenate(sample)).quantize(_COLOURS)
    return [picture.quantize(palette=palette, dither=pillow.Image.Dither.NONE) for picture in pictures]
