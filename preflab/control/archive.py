"""Clips on the disk, one file each, so that an answer may come after the run was killed."""

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from preflab.atomic_files import write_atomically
from preflab.control.clips import Clip, stack_frames
from preflab.errors import DataError

_NAME = re.compile(r"clip-(\d+)\.npz")
_PARTS = ("frames", "actions", "true_reward", "step", "stack")


class ClipArchive:
    """Clips by their ids in a folder, which is made with the first of them.

    Args:
        folder  of this run alone: ids are unique within a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, clip: int) -> Path:
        """Where a clip of that id is, or would be."""
        return self.folder / f"clip-{clip}.npz"

    def __contains__(self, clip: int) -> bool:
        return self.path(clip).is_file()

    def __iter__(self) -> Iterator[int]:
        """Ids of the clips that are kept, ascending."""
        matches = [_NAME.fullmatch(path.name) for path in self.folder.glob("clip-*.npz")]
        return iter(sorted(int(match.group(1)) for match in matches if match))

    def save(self, clip: Clip) -> Path:
        """Keep a clip: whole on the disk when this returns. One that is kept already is left as it is.

        Raises:
            DataError: another clip is kept under its id, or what is kept there is damaged.
        """
        path = self.path(clip.id)
        if path.exists():
            if not same_clip(self.load(clip.id), clip):
                raise DataError(f"another clip is kept as {clip.id}; the folder belongs to another run", path=path)
            return path
        parts: dict[str, Any] = {name: getattr(clip, name) for name in _PARTS}
        if clip.states is not None:
            parts["states"] = clip.states
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **parts, sha256=_digest(parts))
        return write_atomically(path, buffer.getvalue())

    def load(self, clip: int) -> Clip:
        """A clip as it was saved.

        Raises:
            DataError: it is not there, or damaged.
        """
        path = self.path(clip)
        if not path.is_file():
            raise DataError(f"clip {clip} is not there", path=path)
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                parts = {name: file[name] for name in file.files}
            if not np.array_equal(parts.pop("sha256"), _digest(parts)):
                raise ValueError("its parts do not give its checksum")
            states = parts.get("states")
            frames, actions, true_reward, step, stack = (parts[name] for name in _PARTS)
            observations = frames if stack == 1 else stack_frames(frames, int(stack))
            return Clip(clip, observations, actions, true_reward, states, int(step), int(stack))
        except (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"clip {clip} is damaged ({error})", path=path) from error


def _digest(parts: dict[str, Any]) -> np.ndarray:
    """Of names, types, shapes and values: the container's own checks do not cover the names of its parts."""
    digest = hashlib.sha256()
    for name, part in sorted(parts.items()):
        array = np.ascontiguousarray(part)
        digest.update(f"{name} {array.dtype.str} {np.shape(part)};".encode() + array.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)


def same_clip(a: Clip, b: Clip) -> bool:
    """Whether two clips are equal, their ids aside."""
    if (a.step, a.stack) != (b.step, b.stack) or (a.states is None) != (b.states is None):
        return False
    pairs = [(a.frames, b.frames), (a.actions, b.actions), (a.true_reward, b.true_reward)]
    if a.states is not None and b.states is not None:
        pairs.append((a.states, b.states))
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)
