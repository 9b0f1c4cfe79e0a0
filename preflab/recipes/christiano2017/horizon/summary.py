"""The outcome of a run of ``christiano2017_horizon`` in a few lines, from the results it left behind."""

from pathlib import Path

from preflab.recipes.christiano2017.horizon.report import ARMS
from preflab.reporting.closing_lines import Line, closing_lines, plain, read_results


def summarise(folder: Path) -> list[Line]:
    """Steps until the fall of each agent, and how the claims came out."""
    found = read_results(folder)
    lines: list[Line] = []
    if (own := found.get("compare")) is not None:
        lines.append(("untrained", plain(own["untrained"]), "steps until the pole falls"))
        lines += [(arm, plain(own["trained"][arm]), words) for arm, words in ARMS.items()]
        outcomes = [verdict["outcome"] for verdict in own["verdicts"]]
        lines.append(("claims", ", ".join(outcomes), ""))
    return lines + closing_lines(folder, found)
