"""The main job by its command: what it leaves, resumes and refuses."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from preflab.cli import STOPPED, main
from tests.cli.commands import ALIGN, environment, preflab, write_comparisons


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


def test_a_broken_line_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    lines = write_comparisons(tmp_path / "small.jsonl").read_text().splitlines()
    lines[6] = lines[6][:30]
    (tmp_path / "small.jsonl").write_text("\n".join(lines))
    refused = preflab(*ALIGN, cwd=tmp_path)
    assert refused.returncode == 3
    assert refused.stderr.splitlines()[-1].startswith("error: small.jsonl:7: ")
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "runs/r").exists()


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


def test_settings_come_from_scale_file_flags_and_assignments_in_that_order(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("seed: 1\nbest_of_n: 8\nppo:\n  steps: 5\n  epochs: 3\n")
    given = (
        "--config",
        "my.yaml",
        "--seed",
        "2",
        "--set",
        "ppo.steps=6",
        "--set",
        "model.adapters.rank=2",
        "--show-config",
    )
    shown = preflab("run", "align", "--scale", "smoke", *given, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    import yaml

    config = yaml.safe_load(shown.stdout)
    assert (config["model"]["policy"], config["seed"], config["best_of_n"], config["model"]["adapters"]["rank"]) == (
        "tiny",
        2,
        8,
        2,
    )
    assert (config["ppo"]["steps"], config["ppo"]["epochs"], config["ppo"]["minibatches"]) == (6, 3, 2)
    assert not (tmp_path / "runs").exists()


def test_an_unknown_setting_in_a_file_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my.yaml").write_text("sede: 1\n")
    assert main(["align", "--config", str(tmp_path / "my.yaml"), "--show-config"]) == 2
    assert "my.yaml: unknown setting 'sede'; did you mean 'seed'?" in capsys.readouterr().err


def test_what_help_says_of_the_defaults_is_so(home: Path) -> None:
    from preflab.recipes.align import default

    usual, smoke = default(), json.loads((home / "runs/r/config.json").read_text())["config"]
    assert (usual.model.policy, usual.data.comparisons, usual.until, usual.seed) == ("smollm2", "starter", "measure", 0)
    assert (smoke["model"]["policy"], smoke["until"], smoke["seed"]) == ("tiny", "measure", 0)
    assert (usual.data.max_comparisons, smoke["data"]["max_comparisons"]) == (None, 60)
