"""The command line as its users meet it: in processes of its own."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from preflab.cli import STOPPED, build_parser, main
from preflab.errors import ConfigError

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "rich", "matplotlib", "pydantic", "numpy", "yaml", "jaxtyping")


@pytest.fixture(autouse=True)
def _variables_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line sets for other libraries, it finds set already."""
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "error")
    monkeypatch.setenv("HF_HUB_VERBOSITY", "error")


def environment(**more: str) -> dict[str, str]:
    """One thread, no hub, preflab from this tree."""
    ours = ("PREFLAB_DEBUG", "NO_COLOR", "FORCE_COLOR", "TRANSFORMERS_VERBOSITY", "HF_HUB_VERBOSITY")
    kept = {k: v for k, v in os.environ.items() if k not in ours}
    paths = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH", ""))))
    return kept | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | more


def preflab(*arguments: str, cwd: Path, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "preflab", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(**more), input=stdin, capture_output=True, text=True, timeout=120, check=False
    )


def write_comparisons(path: Path, n: int = 40) -> Path:
    words = ["bread", "rain", "stars", "paint", "maps"]
    records = [
        {
            "prompt": f"Tell me about {words[i % 5]} number {i}.",
            "replies": [f"It is a thing called {words[i % 5]}, item {i}.", "No."],
            "ranks": [0, 1],
        }
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


ALIGN = ("align", "--scale", "smoke", "--comparisons", "small.jsonl", "--name", "r")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with comparisons and a finished run ``r``."""
    home = tmp_path_factory.mktemp("home")
    write_comparisons(home / "small.jsonl")
    done = preflab(*ALIGN, cwd=home)
    assert done.returncode == 0, done.stderr
    (home / "out.txt").write_text(done.stdout)
    (home / "err.txt").write_text(done.stderr)
    return home


# a run ---------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_files_and_says_how_it_went(home: Path) -> None:
    run = home / "runs" / "r"
    for name in ("config.json", "report.html", "policy/model.safetensors", "preference_model/model.safetensors"):
        assert (run / name).is_file(), name
    shown = (home / "out.txt").read_text()
    for what in ("held-out accuracy", "by length alone", "best of 4: gain", "PPO: wins by the second model", "PPO: KL"):
        assert what in shown
    for path in ("runs/r/report.html", "runs/r/policy", "runs/r/preference_model"):
        assert path in shown


def test_only_our_own_progress_is_shown(home: Path) -> None:
    shown = (home / "err.txt").read_text()
    assert shown.startswith("runs/r: a new run\n")
    assert "PPO" in shown
    for noise in ("Writing model shards", "Warning", "it/s]"):
        assert noise not in shown


def test_a_second_call_says_that_it_was_finished_and_does_nothing(home: Path) -> None:
    before = (home / "runs/r/metrics.jsonl").read_bytes()
    started = time.monotonic()
    again = preflab(*ALIGN, cwd=home)
    assert again.returncode == 0
    assert "runs/r: was already finished; nothing was done again" in again.stderr
    assert again.stdout == (home / "out.txt").read_text()
    assert (home / "runs/r/metrics.jsonl").read_bytes() == before
    assert time.monotonic() - started < 60


def test_other_settings_under_the_same_name_are_refused_with_the_setting_named(home: Path) -> None:
    refused = preflab(*ALIGN, "--seed", "7", cwd=home)
    assert refused.returncode == 5
    assert "seed was 0, now 7" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_report_is_written_anew(home: Path) -> None:
    report = home / "runs/r/report.html"
    report.unlink()
    written = preflab("report", "r", cwd=home)
    assert (written.returncode, written.stdout) == (0, "runs/r/report.html\n")
    assert report.is_file()


def test_a_chat_through_a_pipe(home: Path) -> None:
    talked = preflab("chat", "r", "--max-new-tokens", "4", cwd=home, stdin="hello\n/new\nand you?\n")
    assert talked.returncode == 0, talked.stderr
    assert talked.stdout.count(" before ") == talked.stdout.count(" after ") == 2
    assert talked.stdout.count("score ") == 4
    assert json.loads((home / "runs/r/state.json").read_text())["done"][-1] == "export"  # untouched


def test_ctrl_c_keeps_what_was_done_and_the_same_command_finishes(tmp_path: Path) -> None:
    write_comparisons(tmp_path / "small.jsonl")
    command = (*ALIGN, "--set", "ppo.steps=30", "--until", "ppo")
    metrics = tmp_path / "runs/r/metrics.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "preflab", *command],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    ) as running:
        patience = time.monotonic() + 60
        while not (metrics.exists() and '"ppo"' in metrics.read_text()):
            assert running.poll() is None and time.monotonic() < patience
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert errors.endswith(STOPPED + "\n")
    assert "Traceback" not in errors
    resumed = preflab(*command, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "taking up this run where it stopped; finished so far: data, preference, " in resumed.stderr
    steps = [line["step"] for line in map(json.loads, metrics.read_text().splitlines()) if line["stage"] == "ppo"]
    assert steps == sorted(set(steps)) and len(steps) == 30


# what goes wrong -----------------------------------------------------------------------------------------


def test_a_broken_line_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    lines = write_comparisons(tmp_path / "small.jsonl").read_text().splitlines()
    lines[6] = lines[6][:30]
    (tmp_path / "small.jsonl").write_text("\n".join(lines))
    refused = preflab(*ALIGN, cwd=tmp_path)
    assert refused.returncode == 3
    assert refused.stderr.splitlines()[-1].startswith("error: small.jsonl:7: ")
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "runs/r").exists()


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


def test_an_unknown_model_without_a_network_says_what_would_do(tmp_path: Path) -> None:
    write_comparisons(tmp_path / "small.jsonl")
    refused = preflab(*ALIGN, "--policy", "nobody/nothing", cwd=tmp_path)
    assert refused.returncode == 4
    assert "nobody/nothing" in refused.stderr and "smollm2" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unknown_setting_is_refused_with_a_suggestion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["align", "--set", "ppo.stepz=3"]) == 2
    assert capsys.readouterr().err == "error: unknown setting 'ppo.stepz'; did you mean 'ppo.steps'?\n"
    assert not (tmp_path / "runs").exists()


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


def test_a_run_that_does_not_exist_is_told_from_those_that_do(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    assert main(["report", "nothing"]) == 5
    assert "no run 'nothing', neither in runs nor as a path; runs in runs: r" in capsys.readouterr().err


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


# help and small commands ---------------------------------------------------------------------------------


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


def options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Every option of every command."""
    found: list[argparse.Action] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += [option for own in action.choices.values() for option in options(own)]
        elif action.option_strings and action.dest not in ("help", "version"):
            found.append(action)
    return found


def test_every_option_is_explained_in_sentences_with_its_default() -> None:
    found = options(build_parser())
    assert len(found) > 20
    for option in found:
        assert option.help is not None
        assert option.help[0].isupper() and option.help.endswith("."), option.option_strings
        assert "Default" in option.help, option.option_strings


def test_settings_come_from_scale_file_flags_and_assignments_in_that_order(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("seed: 1\nbest_of_n: 8\nppo:\n  steps: 5\n  epochs: 3\n")
    given = ("--config", "my.yaml", "--seed", "2", "--set", "ppo.steps=6", "--set", "adapters.rank=2", "--show-config")
    shown = preflab("run", "align", "--scale", "smoke", *given, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    import yaml

    config = yaml.safe_load(shown.stdout)
    assert (config["policy"], config["seed"], config["best_of_n"], config["adapters"]["rank"]) == ("tiny", 2, 8, 2)
    assert (config["ppo"]["steps"], config["ppo"]["epochs"], config["ppo"]["minibatches"]) == (6, 3, 2)
    assert not (tmp_path / "runs").exists()


def test_an_unknown_setting_in_a_file_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my.yaml").write_text("sede: 1\n")
    assert main(["align", "--config", str(tmp_path / "my.yaml"), "--show-config"]) == 2
    assert "my.yaml: unknown setting 'sede'; did you mean 'seed'?" in capsys.readouterr().err


def test_what_help_says_of_the_defaults_is_so(home: Path) -> None:
    from preflab.recipes.align import default

    usual, smoke = default(), json.loads((home / "runs/r/config.json").read_text())["config"]
    assert (usual.policy, usual.comparisons, usual.until, usual.seed) == ("smollm2", "starter", "measure", 0)
    assert (smoke["policy"], smoke["until"], smoke["seed"]) == ("tiny", "measure", 0)
    assert (usual.max_comparisons, smoke["max_comparisons"]) == (None, 60)


def test_list_names_recipes_formats_and_what_is_built_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for word in ("align ", "default, smoke, large", "ultrafeedback", "starter", "smollm2"):
        assert word in shown


def test_data_inspect_accounts_for_every_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_comparisons(tmp_path / "small.jsonl")
    assert main(["data", "inspect", str(file), "--limit", "10"]) == 0
    shown = capsys.readouterr().out
    assert "10 of 10 records kept" in shown
    assert "distinct prompts   10" in shown


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = f"'{sys.executable}' -m preflab list | true"
    found = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert found.stderr == ""


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "doctor" in capsys.readouterr().out


@pytest.mark.parametrize(("levels", "code"), [(["ok", "note"], 0), (["ok", "problem"], 1)])
def test_the_doctor_ends_with_1_when_there_is_a_problem(
    levels: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from preflab.cli.doctor import Finding

    found = [Finding(level, "memory", "little", "more") for level in levels]  # type: ignore[arg-type]
    monkeypatch.setattr("preflab.cli.doctor.examine", lambda runs: iter(found))
    assert main(["doctor"]) == code
    assert f"{levels[-1]:<8} memory             little  -> more" in capsys.readouterr().out


def test_the_doctor_examines_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--runs", str(tmp_path)])
    shown = capsys.readouterr()
    assert code == (1 if "\nproblem" in shown.out else 0), shown.out
    assert "torch" in shown.out and shown.err == ""


@pytest.mark.parametrize("arguments", [["store", "info"], ["run", "online", "--scale", "smoke"]])
def test_what_an_extra_brings_is_named_when_it_is_missing(arguments: list[str], tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules['sqlalchemy'] = None\nfrom preflab.cli import main; sys.exit(main({arguments!r}))"
    )
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert found.returncode == 2
    assert "sqlalchemy is not installed; this needs the extra 'web': pip install 'preflab[web]'" in found.stderr
