"""Tensors to disk and back: one file from one process, a folder of shards from several.

One process writes safetensors. Several write with ``torch.distributed.checkpoint``, each what it holds. Either kind is
read back whole by any number of processes, so that a run may go on with more or fewer of them.
"""

import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from preflab import distributed
from preflab.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(tensors: Mapping[str, "Tensor"], path: Path) -> Path:
    """Write them under ``path`` with the ending of their kind, and return that. Every process must call it."""
    if distributed.world_size() == 1:
        from safetensors.torch import save_file

        path = path.with_name(path.name + ".safetensors")
        save_file({k: v.contiguous() for k, v in tensors.items()}, path)
        return path
    from torch.distributed.checkpoint.state_dict_saver import save

    path = path.with_name(path.name + ".shards")
    save(dict(tensors), checkpoint_id=path)
    return path


def load_tensors(path: Path) -> dict[str, "Tensor"]:
    """Every tensor under ``path``, whole, on the CPU.

    Raises:
        RunError: the checkpoint is damaged or not there.
    """
    from safetensors import SafetensorError

    try:
        if path.suffix == ".shards":
            return _load_shards(path)
        from safetensors.torch import load_file

        return dict(load_file(path))
    except (OSError, SafetensorError, ValueError, KeyError, EOFError, RuntimeError) as error:
        raise RunError(f"{path}: the checkpoint cannot be read ({error}); begin anew with --fresh") from error


def _load_shards(path: Path) -> dict[str, "Tensor"]:
    import torch
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = FileSystemReader(path)
    entries = reader.read_metadata().state_dict_metadata
    state: dict[str, Tensor] = {}
    for key, entry in entries.items():
        if not isinstance(entry, TensorStorageMetadata):
            raise ValueError(f"{key} is no tensor")
        state[key] = torch.empty(entry.size, dtype=entry.properties.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one process loads alone is meant
        load(state, storage_reader=reader, no_dist=True)
    return state


def with_prefix(prefix: str, state: Mapping[str, "Tensor"]) -> dict[str, "Tensor"]:
    """The same tensors with ``prefix`` before each name (``policy/``, ``agent.``), so that parts share a checkpoint."""
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def strip_prefix(state: Mapping[str, "Tensor"], prefix: str) -> dict[str, "Tensor"]:
    """The tensors whose names begin with ``prefix``, under what follows it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def remove(path: Path) -> None:
    """Delete a checkpoint of either kind."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
