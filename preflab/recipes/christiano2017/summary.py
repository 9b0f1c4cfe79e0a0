"""The outcome of a run of `christiano2017_mujoco` or `christiano2017_atari` in a few lines, from its results."""

from pathlib import Path

from preflab.recipes.christiano2017.arms import words_of
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import with_interval
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """True return of each agent, and how the claims came out."""
    found = read_results(folder)
    lines: list[Line] = []
    if (own := found.get("compare")) is not None:
        lines.append(("untrained", with_interval(found["untrained"]["mean"], ".2f"), "true return"))
        lines += [(arm, with_interval(value, ".2f"), words_of(arm)) for arm, value in own["returns"].items()]
        lines.append(("claims", ", ".join(verdict["outcome"] for verdict in own["verdicts"]), ""))
    return lines + closing_lines(folder, found)
