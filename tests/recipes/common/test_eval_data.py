"""Where data sets lie, from settings."""

from pathlib import Path

import pytest

from preflab.errors import ConfigError
from preflab.evals.suites import SUITES
from preflab.recipes.common.eval_data import parse_data_source, parse_splits


def test_a_folder_and_files_of_single_suites(tmp_path: Path) -> None:
    (tmp_path / "bbq.jsonl").touch()
    source = parse_data_source([str(tmp_path), f"bbq={tmp_path / 'bbq.jsonl'}"])
    assert source.folder == tmp_path
    assert source.paths == {"bbq": tmp_path / "bbq.jsonl"}
    assert parse_data_source([]).folder is None


def test_two_folders_or_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one folder at most"):
        parse_data_source([str(tmp_path), str(tmp_path)])
    with pytest.raises(ConfigError, match="no such file or folder"):
        parse_data_source([f"bbq={tmp_path / 'gone'}"])


def test_splits_are_those_of_the_suites() -> None:
    mmlu = SUITES["mmlu"]
    assert parse_splits([f"mmlu={mmlu.splits[-1]}"], [mmlu]) == {"mmlu": mmlu.splits[-1]}
    with pytest.raises(ConfigError, match="splits must be one of mmlu="):
        parse_splits(["mmlu=gone"], [mmlu])
    with pytest.raises(ConfigError, match="none, as no suite here has several"):
        parse_splits(["mmlu=test"], [])
