"""Clips on the disk: the same again, and damage that is named."""

from pathlib import Path

import numpy as np
import pytest

from preflab.control.archive import ClipArchive, same_clip
from preflab.control.clips import Clip, stack_frames
from preflab.errors import DataError


def clip(id: int = 7, *, states: bool = True, of: int = 0) -> Clip:
    rng = np.random.default_rng(of)
    return Clip(
        id=id,
        observations=rng.normal(size=(5, 3)).astype(np.float32),
        actions=rng.normal(size=(5, 2)).astype(np.float32),
        true_reward=rng.normal(size=5),
        states=rng.normal(size=(5, 4)).astype(np.float32) if states else None,
        step=640,
    )


@pytest.mark.parametrize("states", [True, False])
def test_a_clip_comes_back_as_it_was(tmp_path: Path, states: bool) -> None:
    archive, put = ClipArchive(tmp_path / "clips"), clip(states=states)
    assert 7 not in archive and list(archive) == []
    archive.save(put)
    found = ClipArchive(tmp_path / "clips").load(7)
    assert (found.id, found.step) == (7, 640)
    for part in ("observations", "actions", "true_reward"):
        assert getattr(found, part).dtype == getattr(put, part).dtype
        assert np.array_equal(getattr(found, part), getattr(put, part))
    assert (found.states is None) == (put.states is None)
    assert put.states is None or (found.states is not None and np.array_equal(found.states, put.states))


def test_screens_come_back_as_bytes(tmp_path: Path) -> None:
    screens = np.arange(2 * 4 * 84 * 84, dtype=np.uint8).reshape(2, 4, 84, 84)
    archive = ClipArchive(tmp_path)
    archive.save(Clip(1, screens, np.array([3, 4]), np.zeros(2)))
    assert archive.load(1).observations.dtype == np.uint8 and np.array_equal(archive.load(1).observations, screens)


def test_stacks_are_kept_as_frames(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (28, 20, 20), dtype=np.uint8)
    put = Clip(1, stack_frames(frames, 4), np.zeros(25), np.zeros(25), stack=4)
    archive = ClipArchive(tmp_path)
    assert (
        archive.save(put).stat().st_size < 1.1 * frames.nbytes + 2000
    )  # noise does not shrink; four copies would show
    found = archive.load(1)
    assert found.stack == 4 and found.observations.shape == (25, 4, 20, 20) and same_clip(found, put)


def test_saving_again_changes_nothing_and_another_clip_is_refused(tmp_path: Path) -> None:
    archive = ClipArchive(tmp_path)
    before = archive.save(clip()).stat().st_mtime_ns
    assert archive.save(clip()).stat().st_mtime_ns == before
    with pytest.raises(DataError, match="another clip is kept as 7"):
        archive.save(clip(of=1))
    with pytest.raises(DataError, match="another clip"):
        archive.save(clip(states=False))


def test_ids_are_told_in_order_and_other_files_are_none(tmp_path: Path) -> None:
    archive = ClipArchive(tmp_path)
    for id in (10, 9, 100):
        archive.save(clip(id))
    (tmp_path / "clip-x.npz").write_bytes(b"")
    (tmp_path / ".clip-11.npz.1.part").write_bytes(b"half")
    assert list(archive) == [9, 10, 100]


def test_damage_is_named_wherever_it_is(tmp_path: Path) -> None:
    archive, put = ClipArchive(tmp_path), clip()
    path = archive.save(put)
    whole = path.read_bytes()
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            assert same_clip(archive.load(7), put)  # a date of the container, say: nothing was lost
        except DataError as error:
            assert "clip-7.npz: clip 7 is damaged" in str(error)
    path.write_bytes(whole[:100])
    with pytest.raises(DataError, match=r"clip-7\.npz: clip 7 is damaged"):
        archive.load(7)
    with pytest.raises(DataError, match="damaged"):
        archive.save(clip())


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"clip-3\.npz: clip 3 is not there"):
        ClipArchive(tmp_path).load(3)
