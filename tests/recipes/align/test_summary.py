"""The headline numbers, worked out from results by hand."""

import json
from pathlib import Path
from typing import Any

from preflab.recipes.align.summary import summarise


def estimate(value: float, low: float | None, high: float | None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 20, "clusters": 10, "level": 0.95}


def write(folder: Path, **results: dict[str, Any]) -> Path:
    (folder / "results").mkdir()
    for name, result in results.items():
        (folder / "results" / f"{name}.json").write_text(json.dumps(result))
    return folder


PREFERENCE = {
    "accuracy": estimate(0.625, 0.5, 0.75),
    "baselines": {"length": estimate(0.5, None, None)},
    "baseline_notes": {"length": "the longer reply wins"},
    "seconds": 61.2,
}
MEASURE = {
    "n": 4,
    "gain": {p: {j: estimate(0.5, -0.25, None) for j in ("pm", "pm_judge")} for p in ("best_of_n", "ppo")},
    "win_rate": {p: {j: estimate(0.75, 0.5, 1.0) for j in ("pm", "pm_judge")} for p in ("best_of_n", "ppo")},
    "kl": {"best_of_n": 0.63629, "ppo": estimate(4.2, 3.9, 4.5)},
    "seconds": 60.0,
}


def test_every_headline_number_is_there_with_its_interval(tmp_path: Path) -> None:
    folder = write(tmp_path, preference=PREFERENCE, measure=MEASURE, ppo={"stopped": "", "seconds": 3600.0})
    (folder / "report.html").touch()
    lines = {what: (number, remark) for what, number, remark in summarise(folder)}
    assert lines["held-out accuracy"] == ("62.5 % [50.0, 75.0]", "20 pairs")
    assert lines["  by length alone"] == ("50.0 % [\u2212∞, ∞]", "the longer reply wins")
    assert lines["PPO: gain by its own model"][0] == "+0.50 [\u22120.25, +∞] nats"
    assert lines["best of 4: wins by the second model"][0] == "75.0 % [50.0, 100.0]"
    assert lines["best of 4: KL"][0] == "0.64 nats"
    assert lines["PPO: KL"][0] == "4.20 [3.90, 4.50] nats"
    assert lines["time"][0] == "1 h 2 min"  # 61 + 60 + 3600 seconds
    assert lines["report"][0] == str(folder / "report.html")
    assert "policy" not in lines and "PPO stopped early" not in lines


def test_stages_that_were_not_run_have_no_lines(tmp_path: Path) -> None:
    folder = write(tmp_path, preference=PREFERENCE)
    assert [what for what, _, _ in summarise(folder)] == ["held-out accuracy", "  by length alone", "time"]
    assert ("time", "1 min 1 s", "") in summarise(folder)


def test_an_early_stop_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path, ppo={"stopped": "KL 31 is above the limit of 30", "seconds": 5.0})
    assert ("PPO stopped early", "KL 31 is above the limit of 30", "") in summarise(folder)
    assert ("time", "5.0 s", "") in summarise(folder)
