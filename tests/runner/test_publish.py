"""A finished run becomes one small file; an unfinished one is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.maths.statistics import Estimate
from preflab.recipes.sft import SCALES
from preflab.reporting.verdicts import claim_above
from preflab.runner.publish import family_of, fit, publish, rounded, run_hash, without_path
from preflab.runner.published import LARGEST, read_published

GAIN = Estimate(0.5712345678, 0.53, 0.61, 4398, 149)


def make_run(folder: Path, **changes: Any) -> Path:
    """A finished run of ``sft``, or one that differs in its recipe, settings, record or state."""
    (folder / "results").mkdir(parents=True)
    config = to_json(SCALES["smoke"]()) | changes.get("config", {})
    config["data"] = config["data"] | {"comparisons": "/home/somebody/sets/pairs.jsonl"}
    verdict = claim_above("unseen replies become more probable", GAIN, 0.0, unit="nats", source="Stiennon et al. 2020")
    results = {
        "data": {"train": 10, "seconds": 1.5},
        "sft": {"gain": GAIN, "texts": ["a reply"] * 30, "verdicts": [verdict], "seconds": 2.5},
    }
    files = {
        "config.json": {"recipe": changes.get("recipe", "sft"), "config": config},
        "record.json": {
            "made_by": {"versions": {"preflab": "0.1.0"}, "python": "3.11.7", "system": "Linux", "cores": 2},
            "data": {"source": "/home/somebody/sets/pairs.jsonl", "digest": "sha256:1", "refused": {"empty": 3}},
            "model": {"name": "tiny", "location": "/home/somebody/models", "sha256": "2"},
            "ended": {"stages": ["data", "sft"]},
        }
        | changes.get("record", {}),
        "state.json": {"done": ["data", "sft"], "checkpoint": None} | changes.get("state", {}),
        **{f"results/{name}.json": result for name, result in results.items()},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(to_json(content)))
    lines = [{"stage": "sft", "step": step, "loss": 4.0 - step / 100} for step in range(1, 101)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "policy").mkdir()
    (folder / "policy" / "model.safetensors").write_bytes(b"weights")
    return folder


def test_a_published_run_has_its_verdicts_settings_hashes_and_curves(tmp_path: Path) -> None:
    path = publish(make_run(tmp_path / "first"), tmp_path / "results")
    assert path == tmp_path / "results" / "sft" / "first.json"
    run = read_published(path)
    (verdict,) = run.verdicts
    assert (verdict.id, verdict.outcome, verdict.value, verdict.n, verdict.clusters, verdict.seeds) == (
        "sft", "holds", 0.571235, 4398, 149, 1
    )  # fmt: skip
    assert run.settings["model.policy"] == "tiny"
    assert (run.json["seconds"], run.json["layout"]) == (4.0, "current")
    assert run.json["hashes"]["weights"].keys() == {"policy/model.safetensors"}
    assert run.json["hashes"]["run"] == run_hash(tmp_path / "first")
    curve = run.json["curves"]["sft"]
    assert (curve["step"][0], curve["step"][-1], len(curve["step"])) == (1, 100, 21)
    assert run.json["left_out"] == ["sft.texts"]
    assert "--scale smoke" in run.json["command"]


def test_it_names_no_person_and_no_folder_and_its_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "first")
    first = publish(folder, tmp_path / "a").read_bytes()
    assert b"somebody" not in first and b"/home" not in first and b"pairs.jsonl" in first
    assert str(tmp_path).encode() not in first
    assert publish(folder, tmp_path / "b").read_bytes() == first
    (folder / "results" / "sft.json").write_text((folder / "results" / "sft.json").read_text() + " ")
    assert publish(folder, tmp_path / "c").read_bytes() != first  # the hash of the whole run


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": {"checkpoint": "sft-000003"}}, "sft-000003 is under way"),
        ({"record": {"ended": {}}}, "did not come to its end"),
        ({"record": {"ended": {"stages": ["data"]}}}, "taken up again"),
    ],
)
def test_a_run_that_is_not_finished_is_refused_with_the_reason(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=reason):
        publish(make_run(tmp_path / "run", **changes), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_run_of_an_earlier_layout_is_published_and_says_so(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", config={"sede": 1}, record={"ended": {}})
    with pytest.raises(RunError, match="no report"):
        publish(folder, tmp_path / "results")
    (folder / "report.html").write_text("")
    run = read_published(publish(folder, tmp_path / "results"))
    assert str(run.json["layout"]).startswith("earlier: unknown setting 'sede'")
    assert run.settings["sede"] == 1


def test_a_large_file_loses_its_numbered_stages_first_and_says_which() -> None:
    numbers = [round(0.001 * i, 3) for i in range(20)]
    results = {"compare": {"a": numbers}} | {f"arm-{seed}": {str(k): numbers for k in range(60)} for seed in range(8)}
    content = fit({"results": results, "curves": {}, "left_out": ["arm-*.texts"]}, Path("run"))
    assert len(content) <= LARGEST
    kept = json.loads(content)
    assert list(kept["results"]) == ["compare"]
    assert kept["left_out"] == ["results: arm-*"]
    with pytest.raises(RunError, match="settings and verdicts take"):
        fit({"settings": "x" * LARGEST, "results": {}, "curves": {}, "left_out": []}, Path("run"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/a/b.jsonl", "b.jsonl"),
        ("~/sets/b", "b"),
        (
            "preflab run x --set comparisons=/home/a/b.jsonl --seed 3",
            "preflab run x --set comparisons=b.jsonl --seed 3",
        ),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
        ("http://host:8000/v1", "http://host:8000/v1"),
    ],
)
def test_a_path_of_the_machine_is_known_by_its_last_part_alone(text: str, expected: str) -> None:
    assert without_path(text) == expected


def test_numbers_have_six_digits_and_stages_of_seeds_are_a_family() -> None:
    assert (rounded(0.123456789), rounded(1234567.8), rounded(2.0), rounded("x")) == (0.123457, 1234570, 2.0, "x")
    assert (family_of("labels700-3"), family_of("fixed0"), family_of("compare")) == ("labels700-*", "fixed*", "compare")
