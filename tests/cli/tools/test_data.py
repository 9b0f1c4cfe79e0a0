"""``preflab data inspect``."""

from pathlib import Path

import pytest

from preflab.cli import main
from tests.cli.commands import preflab, write_comparisons


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"prompt": "a", "replies": ["b", "c"]}\n', "found columns prompt, replies"), ("", "is empty")],
)
def test_a_missing_column_and_an_empty_file_are_data_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "small.jsonl").write_text(text)
    refused = preflab("data", "inspect", "small.jsonl", cwd=tmp_path)
    assert refused.returncode == 3
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_data_inspect_accounts_for_every_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_comparisons(tmp_path / "small.jsonl")
    assert main(["data", "inspect", str(file), "--limit", "10"]) == 0
    shown = capsys.readouterr().out
    assert "10 of 10 records kept" in shown
    assert "distinct prompts   10" in shown
