"""Data sets through the ``datasets`` library, without a network."""

from pathlib import Path

import datasets
import pytest

from preflab.data.sources.hub import is_saved_set, read_hub_set, read_saved_set
from preflab.errors import ConfigError, DataError

RECORDS = [{"prompt": "q", "chosen": "a", "rejected": "b"}, {"prompt": "r", "chosen": "c", "rejected": "d"}]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way to the hub, and no waiting for it."""
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_saved_table_is_read_in_order(tmp_path: Path) -> None:
    datasets.Dataset.from_list(RECORDS).save_to_disk(tmp_path / "set")
    assert is_saved_set(tmp_path / "set")
    assert not is_saved_set(tmp_path)
    found = list(read_saved_set(tmp_path / "set", None))
    assert [(one.number, one.record) for one in found] == [(1, RECORDS[0]), (2, RECORDS[1])]


def test_of_saved_splits_one_is_named_unless_there_is_only_one(tmp_path: Path) -> None:
    table = datasets.Dataset.from_list(RECORDS)
    datasets.DatasetDict({"train": table, "test": table.select([1])}).save_to_disk(tmp_path / "two")
    datasets.DatasetDict({"test": table}).save_to_disk(tmp_path / "one")
    assert len(list(read_saved_set(tmp_path / "two", "test"))) == 1
    assert len(list(read_saved_set(tmp_path / "one", None))) == 2
    with pytest.raises(ConfigError, match="has the splits train, test; name one"):
        read_saved_set(tmp_path / "two", None)
    with pytest.raises(ConfigError, match="there is no 'dev'"):
        read_saved_set(tmp_path / "two", "dev")


def test_a_table_without_splits_has_none_to_name(tmp_path: Path) -> None:
    datasets.Dataset.from_list(RECORDS).save_to_disk(tmp_path / "set")
    with pytest.raises(ConfigError, match="has no splits, so there is no split 'test'"):
        read_saved_set(tmp_path / "set", "test")


def test_a_damaged_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(DataError, match=f"{tmp_path}: cannot be read as a saved data set"):
        read_saved_set(tmp_path, None)


@pytest.mark.usefixtures("offline")
def test_without_a_network_the_error_says_what_was_looked_for_and_where() -> None:
    with pytest.raises(DataError) as error:
        read_hub_set("nobody/nothing", None)
    assert f"no such file or folder here ({Path.cwd()})" in str(error.value)
    assert "the hub data set could not be had" in str(error.value)


def test_a_set_from_the_hub_comes_with_its_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    table = datasets.Dataset.from_list(RECORDS)
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict({"train": table}))
    found, digest = read_hub_set("somebody/something", None)
    assert [one.record for one in found] == RECORDS
    assert digest == f"fingerprint:{table._fingerprint}"


def test_a_configuration_is_named_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def load(*names: str) -> datasets.Dataset:
        asked.append(names)
        return datasets.Dataset.from_list(RECORDS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    read_hub_set("somebody/something", None, "main")
    read_hub_set("somebody/something", None)
    assert asked == [("somebody/something", "main"), ("somebody/something",)]
