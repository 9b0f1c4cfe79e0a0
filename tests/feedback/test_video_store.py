"""Films under their hashes: kept once, found again, damage told."""

import hashlib
from pathlib import Path

import pytest

from preflab.data.store.open import Store
from preflab.errors import DataError, NotThere
from preflab.feedback.video_store import VideoDamaged, VideoStore, is_video_name, open_video_store

GIF, WEBP = b"GIF89a and so on", b"RIFF....WEBP"


def test_a_film_is_kept_once_under_its_hash(tmp_path: Path) -> None:
    shelf = VideoStore(tmp_path / "films")
    name = shelf.put(GIF)
    assert name == f"{hashlib.sha256(GIF).hexdigest()}.gif" and shelf.read(name) == GIF
    before = (shelf.folder / name).stat().st_mtime_ns
    assert shelf.put(GIF) == name and (shelf.folder / name).stat().st_mtime_ns == before
    assert shelf.put(WEBP).endswith(".webp")


def test_damage_is_told_and_mended_by_putting_it_again(tmp_path: Path) -> None:
    shelf = VideoStore(tmp_path)
    name = shelf.put(GIF)
    (tmp_path / name).write_bytes(GIF[:-1])
    with pytest.raises(VideoDamaged, match=f"film {name[:12]} is damaged"):
        shelf.read(name)
    assert shelf.put(GIF) == name and shelf.read(name) == GIF


@pytest.mark.parametrize(
    "name", ["../store.db", f"{'a' * 64}.gif", f"{'A' * 64}.gif", f"{'a' * 64}.exe", "", "x\0.gif"]
)
def test_what_is_not_there_or_no_name_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "store.db").write_bytes(b"secret")
    with pytest.raises(NotThere, match="is missing"):
        VideoStore(tmp_path / "films").read(name)
    assert is_video_name(name) == (name == f"{'a' * 64}.gif")


def test_only_films_are_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="GIF or WebP"):
        VideoStore(tmp_path).put(b"<script>")


def test_films_lie_beside_a_store_that_is_a_file(store: Store, tmp_path: Path) -> None:
    beside, named = open_video_store(store), open_video_store(store, tmp_path / "elsewhere")
    assert beside is not None and beside.folder == tmp_path / "films"
    assert named is not None and named.folder == tmp_path / "elsewhere"
