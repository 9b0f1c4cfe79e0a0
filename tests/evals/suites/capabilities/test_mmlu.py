"""MMLU: frames, exemplars, letters in replies; its splits, of which test is the default."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.errors import ConfigError, DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.capabilities import mmlu
from preflab.evals.suites.capabilities.mmlu import SUITE, parse_option
from preflab.rollouts.requests.parse_reply import NO_OPTION, SEVERAL_OPTIONS
from preflab.rollouts.requests.types import Generation, UnreadableResponse
from tests.evals.suites.scripted import Scripted, asked, outcome, shelf_of, tell, values


def row(n: int, subject: str = "high_school_tea", answer: int = 1) -> dict[str, Any]:
    return {"subject": subject, "question": f"What is {n}?", "choices": ["w", "x", "y", "z"], "answer": answer}


def source(folder: Path, n_shots: int) -> DataSource:
    """Two questions of one subject, and answered ones of it."""
    questions = shelf_of(folder, [row(0), row(1, answer=3)], "mmlu", "questions.jsonl").paths
    shots = shelf_of(folder, [row(n) for n in range(10, 10 + n_shots)], "mmlu_shots", "shots.jsonl").paths
    return DataSource(paths={**questions, **shots})


def test_five_shot_is_plain_text_behind_answered_questions(tmp_path: Path) -> None:
    policy = Scripted(choose=lambda request: (0.1, 0.6, 0.1, 0.1))
    results = tell(SUITE, source(tmp_path, 6), "five-shot", policy=policy)
    text = asked(policy.tape[0])
    assert text.startswith("The following are multiple choice questions (with answers) about high school tea.\n\n")
    assert text.count("\nAnswer: B\n\n") == 5 and "What is 15?" not in text
    assert text.endswith("What is 0?\nA. w\nB. x\nC. y\nD. z\nAnswer:")
    assert [outcome(result)["correct"] for result in results] == [1.0, 0.0]
    assert values(SUITE, results)["calibration gap"] == pytest.approx(0.6 / 0.9 - 0.5)


def test_a_subject_with_too_few_answered_questions_is_counted_and_zero_shot_needs_none(tmp_path: Path) -> None:
    policy = Scripted(choose=lambda request: (0.1, 0.6, 0.1, 0.1))
    few = tell(SUITE, source(tmp_path, 4), "five-shot", policy=policy)
    assert {result.failed for result in few} == {"its subject has fewer than 5 answered questions (mmlu_dev*)"}
    assert outcome(tell(SUITE, source(tmp_path, 4), "zero-shot", policy=policy)[0])["correct"] == 1.0


def test_sampled_reads_the_letter_of_the_reply(tmp_path: Path) -> None:
    results = tell(SUITE, source(tmp_path, 5), "sampled", policy=Scripted(speak=lambda request: "The answer is D."))
    assert [outcome(result)["chosen"] for result in results] == ["D", "D"]
    assert [outcome(result)["correct"] for result in results] == [0.0, 1.0]


CITIES = ("Oslo", "Rome", "Lima", "Bonn")


@pytest.mark.parametrize(
    ("text", "option"), [("B", 1), ("(C)", 2), ("answer is: **D**, not A", 3), ("It is A.", 0), ("Rome", 1)]
)
def test_letters_of_replies(text: str, option: int) -> None:
    assert parse_option(Generation(text), CITIES) == option


@pytest.mark.parametrize(("text", "reason"), [("none", NO_OPTION), ("E", NO_OPTION), ("A or B", SEVERAL_OPTIONS)])
def test_replies_without_one_letter(text: str, reason: str) -> None:
    with pytest.raises(UnreadableResponse, match=reason):
        parse_option(Generation(text), CITIES)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    broken = {name: value for name, value in row(0).items() if name != "choices"}
    with pytest.raises(DataError, match="choices"):
        SUITE.load(shelf_of(tmp_path, [broken], "mmlu"))


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
        mmlu.SUITE.load(DataSource(paths={"mmlu": file}, splits={"mmlu": "validation"}))
