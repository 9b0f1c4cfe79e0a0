"""What every command has: help at once, errors that help, no leftovers."""

import argparse
import ast
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from preflab.cli import build_parser, main
from preflab.cli.parser import Parser
from preflab.errors import ConfigError
from tests.cli.commands import HEAVY, ROOT, environment, preflab


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alig"], "unknown command 'alig'; did you mean 'align'?"),
        (["align", "--polcy", "x"], "unknown option '--polcy'; did you mean '--policy'?"),
        (["align", "--pol", "x"], "unknown option '--pol'"),  # no abbreviations: they break when options are added
        (["align", "--scale", "smok"], "unknown scale 'smok'; did you mean 'smoke'?"),
        (["align", "--until", "dpo"], "unknown stage 'dpo'; known are preference, best-of-n, ppo, measure"),
        (["align", "--seed", "x"], "invalid int value: 'x'"),
        (["run", "algin"], "unknown recipe 'algin'; did you mean 'align'?"),
        (["run", "align", "--scale", "huge"], "no scale 'huge'; known are default, smoke, large"),
        (["align", "--name", "../x"], "--name '../x': expected letters"),
        (["align", "--set", "seed"], "expected key=value"),
        (["align", "--config", "none.yaml"], "none.yaml: no such file"),
        (["data", "inspct"], "did you mean 'inspect'?"),
        (["data", "inspect", "starter", "--format", "x"], "unknown format 'x'"),
    ],
)
def test_a_slip_of_the_fingers_exits_2_and_is_helped(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_traceback_is_shown_on_request_and_control_characters_never(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "\x1b[2J"]) == 5
    assert "Traceback" not in (plain := capsys.readouterr().err) and "\x1b" not in plain
    monkeypatch.setenv("PREFLAB_DEBUG", "1")
    assert main(["report", "x"]) == 5
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OSError(28, "No space left on device"), 5, "the disk is full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 5, "What was finished is kept"),
        (PermissionError(13, "Permission denied", "runs"), 5, "error: runs: Permission denied"),
        (KeyboardInterrupt(), 130, "stopped"),
        (ConfigError("no"), 2, "error: no"),
    ],
)
def test_errors_of_the_machine_are_explained(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> dict[str, object]:
        raise error

    monkeypatch.setattr("preflab.runner.catalogue.recipes", broken)
    assert main(["list"]) == code
    assert message in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> dict[str, object]:
        raise ZeroDivisionError

    monkeypatch.setattr("preflab.runner.catalogue.recipes", broken)
    with pytest.raises(ZeroDivisionError):
        main(["list"])


@pytest.mark.parametrize("arguments", [["--help"], ["align", "--help"], ["--version"]])
def test_help_comes_at_once(arguments: list[str], tmp_path: Path) -> None:
    seconds = []
    for _ in range(2):  # the first may compile
        started = time.perf_counter()
        assert preflab(*arguments, cwd=tmp_path).returncode == 0
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 1.5  # 0.1 on an idle machine; the goal is 0.5


@pytest.mark.parametrize(
    "code",
    [
        "import preflab",
        "from preflab.cli import main; main(['align', '--help'])",
        "from preflab.cli import main; main(['list'])",
        "from preflab.cli import main; main(['report', 'x'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str, tmp_path: Path) -> None:
    program = f"import sys\ntry:\n {code}\nexcept SystemExit: pass\nprint(set({HEAVY}) & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines()[-1] == "set()"


class Recording(Parser):
    """Remembers every option of every command: commands below it are parsers of its own kind."""

    options: ClassVar[list[argparse.Action]] = []

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        action = super().add_argument(*names, **settings)
        if action.option_strings and action.dest not in ("help", "version"):
            self.options.append(action)
        return action


def test_every_option_is_explained_in_sentences_with_its_default() -> None:
    build_parser(Recording)
    assert len(Recording.options) > 40
    for option in Recording.options:
        assert option.help is not None
        from_setting = option.help.startswith(("smollm2, ", "starter, "))  # a name of a setting, as it is typed
        assert (option.help[0].isupper() or from_setting) and option.help.endswith("."), option.option_strings
        assert "Default" in option.help, option.option_strings


@pytest.mark.parametrize("arguments", [["align", "--help"], ["run", "align", "--help"]])
def test_help_of_a_recipe_lists_its_settings(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "settings of align" in shown
    assert "  replies_per_prompt = 2\n      Replies of the trained policy to each evaluation prompt.\n" in shown


def test_help_without_a_recipe_lists_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "--set KEY=VALUE; --show-config" not in capsys.readouterr().out


def test_the_command_line_uses_no_private_names_of_argparse() -> None:
    files = list((ROOT / "preflab" / "cli").rglob("*.py"))
    assert len(files) > 15
    for file in files:
        names = [node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)]
        assert not [name for name in names if name.startswith("_") and not name.endswith("__")], file


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m preflab list | true"
    found = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert found.stderr == ""


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "doctor" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["store", "info"], ["run", "online", "--scale", "smoke"]])
def test_what_an_extra_brings_is_named_when_it_is_missing(arguments: list[str], tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules['sqlalchemy'] = None\nfrom preflab.cli import main; sys.exit(main({arguments!r}))"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert found.returncode == 2
    assert "sqlalchemy is not installed; this needs the extra 'web': pip install 'preflab[web]'" in found.stderr
