"""The last lines of the table at the end of a run: how long it took, and what is there to open."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preflab.reporting.format import duration, sample, share

Line = tuple[str, str, str]
"""What was measured, the number with its 95 % interval, a remark."""

PRODUCTS = (("report", "report.html"), ("policy", "policy"), ("preference model", "preference_model"))
"""What it is called, and where it lies in the run's folder."""


def closing_lines(folder: Path, results: Mapping[str, Mapping[str, Any]]) -> list[Line]:
    """How far a judge agrees with the labels before, where there is one; wall time; every product that is there.

    Args:
        folder   of the run.
        results  of its finished stages, by name.
    """
    seconds = sum(float(result.get("seconds", 0)) for result in results.values())
    files = [(title, str(folder / name), "") for title, name in PRODUCTS if (folder / name).exists()]
    return [*_judge_line(results.get("data", {})), ("time", duration(seconds), ""), *files]


def _judge_line(data: Mapping[str, Any]) -> list[Line]:
    """Of the stage ``data``, where a judge labelled the comparisons."""
    judge = data.get("judge")
    if judge is None:
        return []
    agreement = judge["agreement"]
    return [("judge agrees with the labels before", share(agreement), f"{sample(agreement)} prompts; {judge['judge']}")]
