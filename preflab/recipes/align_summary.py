"""The outcome of the main job in a few lines, from the results it left behind."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from preflab.run import read_json

Line = tuple[str, str, str]
"""What was measured, the number with its 95 % interval, a remark."""


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every file worth opening; stages not run have none."""
    found = {path.stem: read_json(path) for path in sorted((folder / "results").glob("*.json"))}
    method = str(found.get("ppo", {}).get("method", "PPO"))
    lines: list[Line] = []
    if "preference" in found:
        lines += _preference(found["preference"])
    if "measure" in found:
        lines += _policies(found["measure"], method)
    if stopped := found.get("ppo", {}).get("stopped"):
        lines.append((f"{method} stopped early", str(stopped), ""))
    lines.append(("time", _duration(sum(float(result.get("seconds", 0)) for result in found.values())), ""))
    for what, name in (("report", "report.html"), ("policy", "policy"), ("preference model", "preference_model")):
        if (folder / name).exists():
            lines.append((what, str(folder / name), ""))
    return lines


def _preference(result: Mapping[str, Any]) -> Iterator[Line]:
    """Held-out accuracy, and what simple rules reach on the same pairs."""
    yield "held-out accuracy", _share(result["accuracy"]), f"{result['accuracy']['n']} pairs"
    for name, accuracy in result["baselines"].items():
        yield f"  by {name} alone", _share(accuracy), str(result.get("baseline_notes", {}).get(name, ""))


def _policies(result: Mapping[str, Any], method: str) -> Iterator[Line]:
    """Gain, win rate and KL of best-of-n and of the trained policy against the policy as it was."""
    for policy, label in (("best_of_n", f"best of {result['n']}"), ("ppo", method)):
        gain, wins, kl = (result[what][policy] for what in ("gain", "win_rate", "kl"))
        for judge, by in (("pm", "by its own model"), ("pm_judge", "by the second model")):
            yield f"{label}: gain {by}", f"{_signed(gain[judge])} nats", ""
            yield f"{label}: wins {by}", _share(wins[judge]), "against the policy as it was; half is chance"
        text = f"{kl:.2f} nats" if isinstance(kl, int | float) else f"{_plain(kl)} nats"
        yield f"{label}: KL", text, "log n - (n - 1)/n" if policy == "best_of_n" else "per reply"


def _share(estimate: Mapping[str, Any]) -> str:
    """``57.1 % [50.2, 63.9]``."""
    low, high = (("-inf", "inf")[i] if estimate[k] is None else f"{100 * estimate[k]:.1f}" for i, k in _ENDS)
    return f"{100 * estimate['value']:.1f} % [{low}, {high}]"


def _signed(estimate: Mapping[str, Any]) -> str:
    """``+0.31 [+0.10, +0.52]``."""
    low, high = (("-inf", "+inf")[i] if estimate[k] is None else f"{estimate[k]:+.2f}" for i, k in _ENDS)
    return f"{estimate['value']:+.2f} [{low}, {high}]"


def _plain(estimate: Mapping[str, Any]) -> str:
    """``4.20 [3.90, 4.50]``."""
    low, high = (("-inf", "inf")[i] if estimate[k] is None else f"{estimate[k]:.2f}" for i, k in _ENDS)
    return f"{estimate['value']:.2f} [{low}, {high}]"


_ENDS = ((0, "low"), (1, "high"))


def _duration(seconds: float) -> str:
    """``9 s``, ``12 min 05 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
