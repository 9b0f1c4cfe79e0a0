"""Tensors on disk come back as they were; parts of a state come back by their prefix."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_a_checkpoint_that_is_not_there_is_refused_and_removing_it_does_nothing(tmp_path: Path) -> None:
    for name in ("a.safetensors", "a.shards"):
        with pytest.raises(RunError, match=rf"{name}: the checkpoint cannot be read .*--fresh"):
            load_tensors(tmp_path / name)
        remove(tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = save_tensors({"a": torch.arange(1000.0)}, tmp_path / "state")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RunError, match="cannot be read"):
        load_tensors(path)


def test_a_folder_of_shards_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "state.shards"
    folder.mkdir()
    (folder / "__0_0.distcp").write_bytes(b"x")
    remove(folder)
    assert not folder.exists()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_every_type_comes_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.tensor([0, 1, 3, 250]).to(dtype)
    loaded = load_tensors(save_tensors({"a": tensor, "none": tensor[:0]}, tmp_path / "state"))
    assert loaded["a"].dtype == dtype and torch.equal(loaded["a"], tensor)
    assert loaded["none"].shape == (0,)


def test_the_ending_is_added_and_not_put_in_the_place_of_another(tmp_path: Path) -> None:
    assert save_tensors({"a": torch.ones(1)}, tmp_path / "ppo-0.5").name == "ppo-0.5.safetensors"


@given(st.dictionaries(st.text("ab/.", max_size=4), st.integers(0, 9), max_size=5), st.text("ab/.", max_size=3))
@settings(deadline=None)
def test_a_prefix_that_is_put_before_names_is_taken_off_again(numbers: dict[str, int], prefix: str) -> None:
    state = {name: torch.tensor(number) for name, number in numbers.items()}
    back = strip_prefix(with_prefix(prefix, state), prefix)
    assert {name: int(tensor) for name, tensor in back.items()} == numbers
