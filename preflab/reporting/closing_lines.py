"""The last lines of the table at the end of a run: how long it took, and what is there to open."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preflab.reporting.format import duration

Line = tuple[str, str, str]
"""What was measured, the number with its 95 % interval, a remark."""

PRODUCTS = (("report", "report.html"), ("policy", "policy"), ("preference model", "preference_model"))
"""What it is called, and where it lies in the run's folder."""


def closing_lines(folder: Path, results: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """Wall time of all stages, then a line for every product that is there.

    Args:
        folder   of the run.
        results  of its finished stages, by name.
    """
    seconds = sum(float(result.get("seconds", 0)) for result in results.values())
    files = [(title, str(folder / name), "") for title, name in PRODUCTS if (folder / name).exists()]
    return [("time", duration(seconds), ""), *files]
