"""A run folder: stages done once, checkpoints that outlive a kill, no step logged twice, errors that lose nothing."""

import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from preflab.atomic_files import write_json
from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.maths.statistics import Estimate
from preflab.run import Run, read_metrics, read_result


@dataclass(frozen=True)
class Config:
    size: int = 1
    name: str = "x"


def open_run(folder: Path, config: Config = Config()) -> Run:
    return Run(folder, config, recipe="test", quiet=True, checkpoint_seconds=0.0)


def test_a_stage_is_worked_out_once_and_read_back_after(tmp_path: Path) -> None:
    calls = []

    def work() -> dict[str, object]:
        calls.append(1)
        return {"answer": 42, "nan": float("nan")}

    with open_run(tmp_path) as run:
        first = run.stage("a", work)
    with open_run(tmp_path) as run:
        assert run.resumed
        assert run.stage("a", work) == first
    assert calls == [1]
    assert first["answer"] == 42
    assert first["nan"] is None  # JSON has no nan
    assert first["seconds"] >= 0


def test_a_stage_that_was_cut_off_continues_from_its_checkpoint_and_metrics_hold_no_step_twice(tmp_path: Path) -> None:
    """Steps 1-3, checkpoint after 2, death; then 3-4."""
    with open_run(tmp_path) as run:
        for step in (1, 2, 3):
            run.log("train", step=step)
            if step == 2:
                run.checkpoint("train", lambda: {"w": torch.tensor([2.0])}, force=True)
    with open_run(tmp_path) as run:
        state = run.resume("train")
        assert state is not None
        assert state["w"].tolist() == [2.0]
        assert run.resume("other") is None
        for step in (3, 4):
            run.log("train", step=step)
        run.stage("train", dict)
        assert run.resume("train") is None
    assert [m["step"] for m in read_metrics(tmp_path)] == [1, 2, 3, 4]


def test_a_half_written_metrics_line_is_cut_off(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.log("a", step=1)
        run.stage("a", dict)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "b", "st')
    with open_run(tmp_path) as run:
        assert len(run.metrics()) == 1


def test_only_the_newest_checkpoint_is_kept(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        for number in (1.0, 2.0):
            run.checkpoint("train", lambda number=number: {"w": torch.tensor(number)}, force=True)
    assert len(list((tmp_path / "checkpoints").glob("train-*"))) == 1


def test_checkpoints_wait_for_their_interval(tmp_path: Path) -> None:
    with Run(tmp_path, Config(), recipe="test", quiet=True, checkpoint_seconds=1e6) as run:
        assert not run.checkpoint("train", lambda: {"w": torch.zeros(1)})
        assert run.checkpoint("train", lambda: {"w": torch.zeros(1)}, force=True)


def test_pieces_of_work_survive_a_cut_line(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.save_partial("samples", "0", [1, 2])
        run.save_partial("samples", "8", [3])
        path = tmp_path / "results" / "samples.jsonl"
        path.write_bytes(path.read_bytes()[:-4])  # a kill in the middle of a write
        assert run.partials("samples") == {"0": [1, 2]}
        run.save_partial("samples", "8", [3])
        assert run.partials("samples") == {"0": [1, 2], "8": [3]}


def test_other_settings_under_the_same_name_are_refused_and_named(tmp_path: Path) -> None:
    open_run(tmp_path).close()
    with pytest.raises(RunError, match=r"size was 1, now 2.*--fresh"):
        open_run(tmp_path, Config(size=2))


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    with open_run(tmp_path), pytest.raises(RunError, match="in use by another process"):
        open_run(tmp_path)


def test_a_full_disk_says_so_and_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("needs /dev/full to write to a device that is always full")
    path = tmp_path / "state.json"
    write_json(path, {"old": 1})
    part = tmp_path / "state.json.part"
    monkeypatch.setattr(tempfile, "mkstemp", lambda **where: (os.open("/dev/full", os.O_WRONLY), str(part)))
    with pytest.raises(RunError, match=r"disk is full.*kept"):
        write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"old": 1}


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        open_run(tmp_path / "file" / "run")


def test_a_damaged_checkpoint_is_an_error_not_a_silent_restart(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        run.checkpoint("train", lambda: {"w": torch.zeros(1000)}, force=True)
    (path,) = (tmp_path / "checkpoints").glob("train-*")
    os.truncate(path, 100)
    with open_run(tmp_path) as run, pytest.raises(RunError, match="cannot be read"):
        run.resume("train")


def test_seeds_differ_by_purpose_and_seed_but_not_by_order(tmp_path: Path) -> None:
    with open_run(tmp_path) as run:
        a, b = run.seed_of("a"), run.seed_of("b")
        assert (run.seed_of("b"), run.seed_of("a")) == (b, a)
        assert a != b


def test_json_takes_dataclasses_paths_and_tensors() -> None:
    value = {"config": Config(), "path": Path("x"), "t": torch.tensor([1.5, float("inf")]), 3: (1, None, True)}
    assert to_json(value) == {
        "config": {"size": 1, "name": "x"},
        "path": "x",
        "t": [1.5, None],
        "3": [1, None, True],
    }


def test_progress_without_a_terminal_prints_rate_and_time_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Run(tmp_path, Config(), recipe="test") as run, run.progress("work", 4, "steps") as advance:
        for _ in range(4):
            advance(note="loss 0.5")
    said = capsys.readouterr().err
    assert "4/4 steps" in said
    assert "left" in said
    assert "loss 0.5" in said


@dataclass(frozen=True)
class Fit:
    """A result with an estimate, a number that may be missing, and a mapping."""

    accuracy: Estimate
    loss: float
    epochs: tuple[float, ...]
    counts: dict[str, int]
    note: str | None = None


def test_a_stage_gives_its_dataclass_now_and_when_it_is_read_back(tmp_path: Path) -> None:
    fitted = Fit(Estimate(0.7, 0.6, 0.8, 40), math.inf, (1.0, 0.5), {"train": 3})
    with Run(tmp_path / "run", {}, recipe="x") as run:
        first = run.stage("fit", lambda: fitted, Fit)
    with Run(tmp_path / "run", {}, recipe="x") as run:
        again = run.stage("fit", lambda: pytest.fail("it was done already"), Fit)
        assert "seconds" in run.result("fit")
    # JSON has no infinity: it comes back as NaN, in the process that wrote it and in every later one.
    assert first.accuracy == again.accuracy == fitted.accuracy
    assert math.isnan(first.loss) and math.isnan(again.loss)
    assert (first.epochs, first.counts, first.note) == ((1.0, 0.5), {"train": 3}, None)
    assert read_result(tmp_path / "run", "fit", Fit) is not None
    assert read_result(tmp_path / "run", "measure", Fit) is None


def test_a_result_of_another_version_is_refused_with_the_field(tmp_path: Path) -> None:
    with Run(tmp_path / "run", {}, recipe="x") as run:
        run.stage("fit", lambda: {"accuracy": 1})
        with pytest.raises(RunError, match=r"(?s)fit\.json: accuracy .*written by another version of preflab"):
            run.result("fit", Fit)


def test_settings_that_may_change_are_named_dotted(tmp_path: Path) -> None:
    before = {"model": {"policy": "tiny", "device": "cpu"}, "seed": 0}
    with Run(tmp_path / "run", before, recipe="x", may_change=("model.device",)):
        pass
    with Run(
        tmp_path / "run",
        before | {"model": {"policy": "tiny", "device": "cuda"}},
        recipe="x",
        may_change=("model.device",),
    ):
        pass
    with pytest.raises(RunError, match=r"model\.policy was 'tiny', now 'other'"):
        Run(tmp_path / "run", {"model": {"policy": "other"}, "seed": 0}, recipe="x", may_change=("model.device",))
