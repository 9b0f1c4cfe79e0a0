"""The outcome of a run of ``christiano2017_horizon`` in a few lines, from the results it left behind."""

from pathlib import Path

from preflab.recipes.christiano2017.horizon.report import ARMS
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import with_interval
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """Steps until the fall of each agent, and how the claims came out."""
    found = read_results(folder)
    lines: list[Line] = []
    if (own := found.get("compare")) is not None:
        lines.append(("untrained", with_interval(own["untrained"], ".2f"), "steps until the pole falls"))
        lines += [(arm, with_interval(own["trained"][arm], ".2f"), words) for arm, words in ARMS.items()]
        outcomes = [verdict["outcome"] for verdict in own["verdicts"]]
        lines.append(("claims", ", ".join(outcomes), ""))
    return lines + closing_lines(folder, found)
