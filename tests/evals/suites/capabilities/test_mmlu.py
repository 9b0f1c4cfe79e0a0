"""MMLU's splits: the test by default, another where it is asked for; a question is never its own example."""

import json
from pathlib import Path

import pytest

from preflab.errors import ConfigError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.capabilities import mmlu
from preflab.recipes.evaluate.stages import splits_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, n in (("test", 1), ("validation", 2), ("dev", 5)):
        rows = [
            {"subject": "law", "question": f"{split} {i}?", "choices": ["a", "b", "c", "d"], "answer": i % 4}
            for i in range(n)
        ]
        (tmp_path / f"mmlu_{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize(
    ("splits", "questions"),
    [
        ({}, ["test 0?"]),
        ({"mmlu": "test"}, ["test 0?"]),
        ({"mmlu": "validation"}, ["validation 0?", "validation 1?"]),
        ({"mmlu": "dev"}, [f"dev {i}?" for i in range(5)]),
    ],
)
def test_the_split_that_is_asked_for_is_read(folder: Path, splits: dict[str, str], questions: list[str]) -> None:
    items = mmlu.SUITE.load(DataSource(folder=folder, splits=splits)).items
    assert [item.data.question for item in items] == questions


def test_a_question_of_dev_is_not_among_its_own_answered_ones(folder: Path) -> None:
    items = mmlu.SUITE.load(DataSource(folder=folder, splits={"mmlu": "dev"})).items
    assert [shot.question for shot in items[1].data.shots] == ["dev 0?", "dev 2?", "dev 3?", "dev 4?"]
    assert len(mmlu.SUITE.load(DataSource(folder=folder)).items[0].data.shots) == 5


def test_a_split_that_is_not_there_and_one_that_changes_nothing_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="must be one of test, validation, dev, got 'train'"):
        mmlu.SUITE.load(DataSource(folder=folder, splits={"mmlu": "train"}))
    file = folder / "mmlu_test.jsonl"
    with pytest.raises(ConfigError, match="split mmlu=validation would change nothing with data mmlu="):
        mmlu.SUITE.load(DataSource(named={"mmlu": file}, splits={"mmlu": "validation"}))


def test_splits_are_those_of_the_suites_that_are_asked() -> None:
    assert splits_of(("mmlu=validation",), [mmlu.SUITE]) == {"mmlu": "validation"}
    with pytest.raises(ConfigError, match="mmlu=test, mmlu=validation, mmlu=dev, got 'mmlu=train'"):
        splits_of(("mmlu=train",), [mmlu.SUITE])
    with pytest.raises(ConfigError, match="no suite here has several, got 'mmlu=dev'"):
        splits_of(("mmlu=dev",), [])
