"""The outcome of a run of ``online`` in a few lines, from the results it left behind."""

from pathlib import Path
from typing import Any

from preflab.atomic_files import read_json
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import elo as elo_text
from preflab.reporting.format import nats, share, with_interval
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number of each round and every file worth opening; stages not run have none."""
    found = read_results(folder)
    config = read_json(folder / "config.json")["config"]
    lines: list[Line] = []
    for k in range(config["rounds"] + 1):
        name = f"round {k}" if k else "static"
        if (fit := found.get(f"preference{k}")) is not None:
            own = fit["accuracy"].get(name)
            if own:
                lines.append((f"{name}: held-out accuracy", share(own), f"{own.n} pairs of the round"))
            if fit["known"]:
                lines.append((f"{name}: agrees with the known preference", share(fit["known"]), "without their errors"))
        if (measure := found.get(f"measure{k}")) is not None:
            lines.append(
                (
                    f"{name}: policy, gain and KL",
                    f"{nats(measure['gain'])} nats",
                    f"KL {with_interval(measure['kl'], '.2f')}",
                )
            )
            if measure["known"]:
                lines.append((f"{name}: policy is liked better", share(measure["known"]["wins"]), "half is chance"))
    lines += _ratings(found)
    if round_name := waiting(folder):
        lines.append(("waiting for choices", round_name, "start the command again"))
    return lines + closing_lines(folder, found)


def _ratings(found: dict[str, Any]) -> list[Line]:
    waves = sorted(int(name.removeprefix("collect")) for name in found if name.startswith("collect"))
    if not waves:
        return []
    elo = found[f"collect{waves[-1]}"]["elo"]
    lines: list[Line] = []
    for name, rating in elo["ratings"].items():
        if name != "start":
            lines.append((f"Elo of {name}", elo_text(rating), "the start policy is at 0"))
    return lines


def waiting(folder: Path) -> str:
    """Which round a run stopped in to wait for choices; empty where it did not."""
    stages = {path.stem for path in (folder / "results").glob("*.json")}
    rounds = sorted(int(stage.removeprefix("deploy")) for stage in stages if stage.startswith("deploy"))
    return next((f"round {k}" for k in rounds if f"collect{k}" not in stages), "")
