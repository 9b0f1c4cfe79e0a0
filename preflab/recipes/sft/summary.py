"""The outcome of a run of ``sft`` in a few lines, from the results it left behind."""

from pathlib import Path

from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import nats, with_interval
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every file worth opening; stages not run have none."""
    found = read_results(folder)
    lines: list[Line] = []
    if (own := found.get("sft")) is not None:
        tokens = f"nats per token of held-out replies ({own['before'].n} tokens)"
        lines.append(("loss before", with_interval(own["before"], ".2f"), tokens))
        lines.append(("loss after", with_interval(own["after"], ".2f"), ""))
        lines.append(("gain", nats(own["gain"]), "nats per token"))
        passes = ", ".join(f"{loss:.3f}" for loss in own["epochs"])
        lines.append(("after each pass", passes, ""))
    return lines + closing_lines(folder, found)
