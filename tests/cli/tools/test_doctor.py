"""The doctor says what is, names what is wrong, and does not fall ill."""

import os
from importlib import metadata
from pathlib import Path

import pytest

from preflab.cli import main
from preflab.cli.tools import doctor
from preflab.cli.tools.doctor import Finding, available_memory, examine, requirements


def findings(runs: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(runs)}


def test_every_fact_is_a_line_and_problems_come_with_advice(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert {"python", "torch", "cores", "memory", "disk for runs", "disk for cache"} <= found.keys()
    assert {"arithmetic", "GPU", "pip", "smollm2", "model hub"} <= found.keys()
    for finding in found.values():
        assert "\n" not in finding.render()
        assert finding.advice or finding.level != "problem"
    assert metadata.version("torch") in found["torch"].fact
    assert "GFLOP/s" in found["arithmetic"].fact


def test_a_package_outside_the_asked_range_or_missing_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "requirements", lambda: {"torch": ">=999", "no-such-package": ">=1", "numpy": ">=1"})
    found = findings(tmp_path)
    assert found["torch"].level == found["no-such-package"].level == "problem"
    assert found["torch"].advice == "pip install 'torch>=999'"
    assert found["numpy"].level == "ok"


def test_ranges_come_without_extras() -> None:
    asked = requirements()
    assert asked["torch"].startswith(">=")
    assert "pytest" not in asked


def test_a_folder_that_cannot_hold_runs_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = findings(tmp_path / "file" / "runs")["disk for runs"]
    assert found.level == "problem"
    assert str(tmp_path / "file") in found.fact


def test_too_little_disk_and_memory_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "RUN_GIB", 1e9)
    monkeypatch.setattr(doctor, "available_memory", lambda: 2.0 * doctor.GIB)
    found = findings(tmp_path)
    assert found["disk for runs"].level == "problem"
    assert found["memory"] == Finding(
        "problem", "memory", "2.0 GiB available", "close other programs; the main job wants 8 GiB, 4 at the least"
    )
    monkeypatch.setattr(doctor, "available_memory", lambda: 5.0 * doctor.GIB)
    assert findings(tmp_path)["memory"].level == "note"


def test_memory_is_measured() -> None:
    assert 0 < available_memory() < 2**50


def test_the_embedded_model_is_cached_or_will_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFLAB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: None)
    assert "will be fetched on first use" in findings(tmp_path)["smollm2"].fact
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "pip" else "1.0")
    assert findings(tmp_path)["smollm2"].level == "problem"
    assert findings(tmp_path)["pip"].level == "note"
    (tmp_path / "smollm2-135m-instruct").mkdir()
    (tmp_path / "smollm2-135m-instruct" / "model.safetensors").touch()
    assert findings(tmp_path)["smollm2"].fact == f"cached in {tmp_path / 'smollm2-135m-instruct'}"


def test_offline_flags_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert findings(tmp_path)["model hub"].level == "note"


def test_busy_cores_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1e6, 0.0, 0.0))
    assert "OMP_NUM_THREADS" in findings(tmp_path)["cores"].advice


def test_a_check_that_breaks_is_a_problem_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> float:
        raise ValueError("no meter here")

    monkeypatch.setattr(doctor, "available_memory", broken)
    found = findings(tmp_path)
    assert found["memory"].level == "problem"
    assert "no meter here" in found["memory"].fact
    assert "model hub" in found


@pytest.mark.parametrize(("levels", "code"), [(["ok", "note"], 0), (["ok", "problem"], 1)])
def test_the_doctor_ends_with_1_when_there_is_a_problem(
    levels: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [Finding(level, "memory", "little", "more") for level in levels]  # type: ignore[arg-type]
    monkeypatch.setattr("preflab.cli.tools.doctor.examine", lambda runs: iter(found))
    assert main(["doctor"]) == code
    assert f"{levels[-1]:<8} memory             little  -> more" in capsys.readouterr().out


def test_the_doctor_examines_this_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--runs", str(tmp_path)])
    shown = capsys.readouterr()
    assert code == (1 if "\nproblem" in shown.out else 0), shown.out
    assert "torch" in shown.out and shown.err == ""
