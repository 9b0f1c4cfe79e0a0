"""Data of the tests of ``evaluate``."""

import json
from pathlib import Path

import pytest

from tests.recipes.evaluate.command import QUESTIONS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [
        {"id": f"q{i}", "subject": "everyday", "question": question, "choices": choices, "answer": answer}
        for i, (question, choices, answer) in enumerate(QUESTIONS)
    ]
    (folder / "mmlu_test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
