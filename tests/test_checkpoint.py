"""Tensors on disk come back as they were; parts of a state come back by their prefix."""

from pathlib import Path

import pytest
import torch

from preflab.checkpoint import load_tensors, remove, save_tensors, strip_prefix, with_prefix
from preflab.errors import RunError


def test_tensors_come_back_with_names_types_and_values(tmp_path: Path) -> None:
    state = {"weights/a": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(3), "text": torch.tensor([1, 2])}
    path = save_tensors(state, tmp_path / "state")
    loaded = load_tensors(path)
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    remove(path)
    assert not path.exists()


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(RunError, match=r"state\.safetensors: the checkpoint cannot be read"):
        load_tensors(path)


def test_parts_share_a_state_and_only_what_stands_under_a_prefix_is_taken() -> None:
    state = with_prefix("a/", {"x": torch.ones(1), "y/z": torch.ones(2)}) | with_prefix("ab/", {"x": torch.zeros(1)})
    assert state.keys() == {"a/x", "a/y/z", "ab/x"}
    part = strip_prefix(state, "a/")
    assert part.keys() == {"x", "y/z"}
    assert torch.equal(part["x"], torch.ones(1))
