"""Runs of earlier versions are refused with what can be done."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.cli import main
from preflab.conversion import to_json
from preflab.recipes.sft import SCALES
from preflab.runner.earlier_layout import earlier_layout


def make_run(folder: Path, recipe: str, **settings: Any) -> Path:
    folder.mkdir(parents=True)
    config = to_json(SCALES["smoke"]()) | settings
    (folder / "config.json").write_text(json.dumps({"recipe": recipe, "config": config}))
    (folder / "record.json").write_text('{"made_by": {"versions": {"preflab": "0.0.9"}}}')
    return folder


def test_a_run_of_this_version_is_none(tmp_path: Path) -> None:
    assert earlier_layout(make_run(tmp_path / "r", "sft")) == ""


@pytest.mark.parametrize(
    ("recipe", "settings", "reason"),
    [
        ("dpo", {}, "its recipe 'dpo' is called 'rafailov2023_dpo' now"),
        ("nothing", {}, "unknown recipe 'nothing'"),
        ("sft", {"sede": 1}, "unknown setting 'sede'"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "report", "chat"])
def test_an_earlier_layout_is_refused_with_what_to_do(
    recipe: str, settings: dict[str, Any], reason: str, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path / "r", recipe, **settings)
    before = sorted(path.name for path in folder.iterdir())
    commands = {
        "run": ["run", "sft", "--scale", "smoke", "--name", "r"],
        "report": ["report", "r"],
        "chat": ["chat", "r"],
    }
    assert main([*commands[verb], "--runs", str(tmp_path)]) == 5
    message = capsys.readouterr().err
    for part in (f"{folder} was made by preflab 0.0.9", reason, "another name", "--fresh", "preflab publish"):
        assert part in message
    assert sorted(path.name for path in folder.iterdir()) == before
