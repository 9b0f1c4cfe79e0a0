"""The outcome of a run of ``christiano2017_backflip`` in a few lines, from the results it left behind."""

from pathlib import Path

from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import with_interval
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every film; stages not run have none."""
    found = read_results(folder)
    lines: list[Line] = []
    for when in ("before", "after"):
        if (own := found.get(when)) is not None:
            note = f"an episode, backwards; {100 * own['share_of_a_turn_or_more']:.0f} % of a whole turn or more"
            lines.append((f"turns {when}", with_interval(own["turns"], "+.2f"), note))
            lines.append((f"film {when}", str(folder / own["film"]), ""))
    if (own := found.get("learn")) is not None:
        told = ", ".join(f"{n} {response}" for response, n in own["labels"].items() if n)
        lines.append(("labels", str(sum(own["labels"].values())), told))
    return lines + closing_lines(folder, found)
