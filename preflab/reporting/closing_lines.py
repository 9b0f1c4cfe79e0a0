"""Lines of the table at the end of a run: estimates as their JSON has them, in plain text."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preflab.atomic_files import read_json

Line = tuple[str, str, str]
"""What was measured, the number with its 95 % interval, a remark."""

_ENDS = ((0, "low"), (1, "high"))


def share(estimate: Mapping[str, Any]) -> str:
    """``57.1 % [50.2, 63.9]``."""
    low, high = (("-inf", "inf")[i] if estimate[k] is None else f"{100 * estimate[k]:.1f}" for i, k in _ENDS)
    return f"{100 * estimate['value']:.1f} % [{low}, {high}]"


def signed(estimate: Mapping[str, Any]) -> str:
    """``+0.31 [+0.10, +0.52]``."""
    low, high = (("-inf", "+inf")[i] if estimate[k] is None else f"{estimate[k]:+.2f}" for i, k in _ENDS)
    return f"{estimate['value']:+.2f} [{low}, {high}]"


def plain(estimate: Mapping[str, Any]) -> str:
    """``4.20 [3.90, 4.50]``."""
    low, high = (("-inf", "inf")[i] if estimate[k] is None else f"{estimate[k]:.2f}" for i, k in _ENDS)
    return f"{estimate['value']:.2f} [{low}, {high}]"


def duration(seconds: float) -> str:
    """``9 s``, ``12 min 05 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Results of the finished stages, by name."""
    return {path.stem: read_json(path) for path in sorted((folder / "results").glob("*.json"))}


def closing_lines(folder: Path, found: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """How long it took, and what is there to open."""
    lines = [("time", duration(sum(float(result.get("seconds", 0)) for result in found.values())), "")]
    for what, name in (("report", "report.html"), ("policy", "policy"), ("preference model", "preference_model")):
        if (folder / name).exists():
            lines.append((what, str(folder / name), ""))
    return lines
