"""Films of clips in a folder, each under the hash of its bytes: what is shown can be neither mixed up nor changed."""

import hashlib
import re
from pathlib import Path

from preflab.atomic_files import write_atomically
from preflab.data.store.open import Store
from preflab.errors import DataError, NotThere, StoreError

KINDS = {"gif": "image/gif", "webp": "image/webp"}
"""What films may be, and how a browser calls it."""
_NAME = re.compile(rf"[0-9a-f]{{64}}\.({'|'.join(KINDS)})")
_BEGINS = {"gif": b"GIF8", "webp": b"RIFF"}


class VideoDamaged(StoreError):
    """A film's bytes are not those it is named by."""


def is_video_name(name: object) -> bool:
    """Whether a film could be called so: sha256 in hexadecimal, a dot, its kind."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


class VideoStore:
    """Films in a folder, which is made with the first of them. Several processes may use it at once.

    Args:
        folder  where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, film: bytes) -> str:
        """Keep a film, whole on the disk when this returns; its name. One that is there already is left as it is.

        Raises:
            DataError: it is neither GIF nor WebP.
        """
        kind = next((kind for kind, begins in _BEGINS.items() if film.startswith(begins)), None)
        if kind is None:
            raise DataError(f"expected a film as GIF or WebP, got bytes that begin with {film[:8]!r}")
        name = f"{hashlib.sha256(film).hexdigest()}.{kind}"
        path = self.folder / name
        if not path.is_file() or path.read_bytes() != film:
            write_atomically(path, film)
        return name

    def read(self, name: str) -> bytes:
        """A film, checked against its name.

        Raises:
            NotThere: no such film, or no name of one.
            VideoDamaged: its bytes are others than those it is named by.
        """
        path = self.folder / name
        if not is_video_name(name) or not path.is_file():
            raise NotThere(f"the film {name[:12]} is missing; whoever runs this study must put it back")
        film = path.read_bytes()
        if hashlib.sha256(film).hexdigest() != name[:64]:
            raise VideoDamaged(f"the film {name[:12]} is damaged; whoever runs this study must put it back")
        return film


def open_video_store(store: Store, folder: Path | None = None) -> VideoStore | None:
    """The films of a store: in ``folder``, or in ``films`` beside a store that is a file; None where in neither."""
    if folder is not None:
        return VideoStore(folder)
    if store.is_postgres or not store.engine.url.database:
        return None
    return VideoStore(Path(store.engine.url.database).parent / "films")
