"""Records through the ``datasets`` library: sets on the Hugging Face hub, and folders it saved."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from preflab.data.sources.files import LocatedRecord
from preflab.errors import ConfigError, DataError


def is_saved_set(folder: Path) -> bool:
    """Whether ``datasets`` saved this folder with ``save_to_disk``."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def read_saved_set(folder: Path, split: str | None) -> Iterator[LocatedRecord]:
    """The records of such a folder."""
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except Exception as error:  # whatever a damaged folder provokes inside the library
        raise DataError(f"cannot be read as a saved data set: {error}", path=folder) from error
    return _records(_one_split(loaded, str(folder), split), str(folder))


def read_hub_set(name: str, split: str | None, config: str | None = None) -> tuple[Iterator[LocatedRecord], str]:
    """The records of a data set on the hub, and its fingerprint; ``config`` names one of its configurations."""
    import datasets

    try:
        loaded = datasets.load_dataset(name) if config is None else datasets.load_dataset(name, config)
    except Exception as error:  # no network, no such set, a set it cannot read: the library raises many kinds
        raise DataError(
            f"there is no such file or folder here ({Path.cwd()}), no built-in set of that name, and the hub data set "
            f"could not be had: {type(error).__name__}: {error}",
            path=name,
        ) from error
    table = _one_split(loaded, name, split)
    return _records(table, name), f"fingerprint:{table._fingerprint}"


def _one_split(loaded: Any, name: str, split: str | None) -> Any:
    """The split asked for; the only one when none was."""
    if not isinstance(loaded, dict):
        if split is not None:
            raise ConfigError(f"{name} has no splits, so there is no split {split!r}")
        return loaded
    if split is None and len(loaded) == 1:
        return next(iter(loaded.values()))
    if split not in loaded:
        problem = "name one with split=" if split is None else f"there is no {split!r}"
        raise ConfigError(f"{name} has the splits {', '.join(loaded)}; {problem}")
    return loaded[split]


def _records(table: Any, name: str) -> Iterator[LocatedRecord]:
    """Its records, numbered from 1."""
    for number, record in enumerate(table, start=1):
        yield LocatedRecord(record, name, number)
