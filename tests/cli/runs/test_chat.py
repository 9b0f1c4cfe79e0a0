"""``preflab chat``."""

import json
from pathlib import Path

from tests.cli.commands import preflab


def test_a_chat_through_a_pipe(home: Path) -> None:
    talked = preflab("chat", "r", "--max-new-tokens", "4", cwd=home, stdin="hello\n/new\nand you?\n")
    assert talked.returncode == 0, talked.stderr
    assert talked.stdout.count(" before ") == talked.stdout.count(" after ") == 2
    assert talked.stdout.count("score ") == 4
    assert json.loads((home / "runs/r/state.json").read_text())["done"][-1] == "export"  # untouched
