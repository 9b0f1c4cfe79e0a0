"""Runs are named, found, taken up, refused and deleted as they should be."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from preflab.data.sources.files import digest_of
from preflab.errors import ConfigError, DataError, RunError
from preflab.recipes.common.configs import ComparisonDataConfig, ModelConfig
from preflab.run import Run
from preflab.runner.catalogue import Recipe, recipe_named
from preflab.runner.inputs import guard_data
from preflab.runner.launch import default_name, discard, find_run, launch, recipe_of, resolve, run_folder


@dataclass(frozen=True, kw_only=True)
class Config:
    model: ModelConfig = field(default_factory=ModelConfig)
    data: ComparisonDataConfig = field(default_factory=ComparisonDataConfig)
    seed: int = 0


ALIGN = Recipe("align", "preflab.recipes.align", "", ("default", "smoke"))


@pytest.mark.parametrize(
    ("scale", "config", "expected"),
    [
        ("default", Config(), "align-starter-smollm2"),
        ("smoke", Config(model=ModelConfig(policy="tiny")), "align-starter-tiny-smoke"),
        ("default", Config(seed=3), "align-starter-smollm2-seed3"),
        (
            "default",
            Config(
                model=ModelConfig(policy="Qwen/Qwen2.5-1.5B"),
                data=ComparisonDataConfig(comparisons="Anthropic/hh-rlhf"),
            ),
            "align-hh-rlhf-qwen2.5-1.5b",
        ),
        (
            "smoke",
            Config(seed=3, data=ComparisonDataConfig(judge="pm:runs/other,temperature=2")),
            "align-starter-smollm2-judged-by-pm-smoke-seed3",
        ),
        (
            "default",
            Config(
                model=ModelConfig(policy="../m/x y.gguf"), data=ComparisonDataConfig(comparisons="/d/my set.jsonl.gz")
            ),
            "align-my-set-x-y",
        ),
    ],
)
def test_a_run_is_named_after_what_it_does(scale: str, config: Config, expected: str) -> None:
    assert default_name(ALIGN, scale, config) == expected
    assert run_folder("runs", expected) == Path("runs") / expected


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "/abs"])
def test_a_name_cannot_leave_the_folder_of_runs(name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        run_folder("runs", name)


def make_run(folder: Path) -> Path:
    Run(folder, Config(), recipe="align").close()
    return folder


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs" / "first")
    assert find_run("first", str(tmp_path / "runs")) == folder
    assert find_run(str(folder), "elsewhere") == folder
    assert recipe_of(folder).name == "align"
    with pytest.raises(RunError, match="did you mean 'first'"):
        find_run("frist", str(tmp_path / "runs"))


def test_a_saved_model_is_no_run_and_no_run_begins_in_its_folder(tmp_path: Path) -> None:
    model = tmp_path / "runs" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(RunError, match="no run 'model'"):
        find_run("model", str(tmp_path / "runs"))
    with pytest.raises(RunError, match=r"is no run folder: its config.json names no recipe"):
        launch(ALIGN, Config(), model)
    assert [path.name for path in model.iterdir()] == ["config.json"]


def test_only_a_run_folder_is_deleted(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    link = tmp_path / "link"
    link.symlink_to(folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "empty").mkdir()
    for wrong in (link, other, tmp_path / "empty"):
        with pytest.raises(RunError, match="no run folder"):
            discard(wrong)
        assert wrong.exists()
    assert not discard(tmp_path / "absent")
    assert discard(folder)
    assert not folder.exists()


def test_a_run_under_way_is_not_deleted(tmp_path: Path) -> None:
    with Run(tmp_path / "run", Config(), recipe="align"), pytest.raises(RunError, match="in use"):
        discard(tmp_path / "run")
    assert (tmp_path / "run" / "config.json").exists()


class Steps:
    """A recipe of two stages that can be made to fail before one."""

    def __init__(self, fail_before: str = "") -> None:
        self.fail_before, self.worked = fail_before, list[str]()

    def main(self, config: Config, run: Run) -> None:
        for name in ("one", "two"):
            run.stage(name, lambda name=name: self._work(name))  # type: ignore[misc]

    def _work(self, name: str) -> dict[str, object]:
        if name == self.fail_before:
            raise DataError("spoilt")
        self.worked.append(name)
        return {}


def start(steps: Steps, folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(Recipe, "load", lambda self: SimpleNamespace(main=steps.main, SCALES={"default": Config}))
    return launch(ALIGN, Config(), folder)


def test_a_run_is_taken_up_where_it_stopped_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(DataError):
        start(Steps(fail_before="two"), folder, monkeypatch)
    assert capsys.readouterr().err == f"{folder}: a new run\n"
    again = Steps()
    assert start(again, folder, monkeypatch)
    assert again.worked == ["two"]
    assert "taking up this run where it stopped; finished so far: one\n" in capsys.readouterr().err
    assert not start(Steps(), folder, monkeypatch)  # nothing left to do


@pytest.mark.parametrize("piece", ["results/labels.jsonl", "answers/0a1b-1.jsonl"])
def test_pieces_of_a_stage_are_kept_even_where_none_finished(
    piece: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Paid(Steps):
        def _work(self, name: str) -> dict[str, object]:
            (tmp_path / "run" / piece).parent.mkdir(exist_ok=True)
            (tmp_path / "run" / piece).write_text("{}\n")
            return super()._work(name)

    with pytest.raises(DataError):
        start(Paid(fail_before="one"), tmp_path / "run", monkeypatch)
    assert (tmp_path / "run" / piece).read_text() == "{}\n"


def test_flags_and_settings_are_taken_together() -> None:
    """A judge is refused beside a preference that the scale sets, and accepted where the same command unsets that."""
    online = recipe_named("online")
    unset = ["true_preference=null", "annotators=people", "study=mine"]
    flags = {"data.judge": "oracle:brief", "study": "theirs"}
    config = resolve(online, scale="smoke", flags=flags, assignments=unset)
    assert (config.data.judge, config.true_preference, config.study) == ("oracle:brief", None, "mine")
    with pytest.raises(ConfigError, match="set one of them"):
        resolve(online, scale="smoke", flags=flags)


def test_data_that_changed_under_a_run_are_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a run, and when all of it is finished: reading results back would hide the change."""
    folder, data = tmp_path / "run", tmp_path / "data.jsonl"
    data.write_text('{"label": "first"}\n')

    class Reads(Steps):
        def main(self, config: Config, run: Run) -> None:
            guard_data(run, "comparisons", source=str(data), digest=digest_of([data]))
            super().main(config, run)

    with pytest.raises(DataError):
        start(Reads(fail_before="two"), folder, monkeypatch)
    began_with = (folder / "record.json").read_text()
    data.write_text('{"label": "second"}\n')
    again = Reads()
    with pytest.raises(RunError, match=r"its comparisons changed since it began: .*data\.jsonl was sha256:"):
        start(again, folder, monkeypatch)
    assert again.worked == []
    assert (folder / "record.json").read_text() == began_with
    data.write_text('{"label": "first"}\n')  # put back: the run goes on
    assert start(again, folder, monkeypatch)
    assert again.worked == ["two"]
    data.write_text('{"label": "second"}\n')
    with pytest.raises(RunError, match="another name"):
        start(Reads(), folder, monkeypatch)


def test_a_run_that_finished_nothing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError):
        start(Steps(fail_before="one"), tmp_path / "run", monkeypatch)
    assert not (tmp_path / "run").exists()
    kept = make_run(tmp_path / "kept")  # there before: not ours to remove
    with pytest.raises(DataError):
        start(Steps(fail_before="one"), kept, monkeypatch)
    assert json.loads((kept / "config.json").read_text())["recipe"] == "align"
