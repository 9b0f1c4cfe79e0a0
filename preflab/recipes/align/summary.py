"""The outcome of the main job in a few lines, from the results it left behind."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import nats, share, with_interval
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every file worth opening; stages not run have none."""
    found = read_results(folder)
    method = str(found.get("ppo", {}).get("method", "PPO"))
    lines: list[Line] = []
    if "preference" in found:
        lines += _preference(found["preference"])
    if "measure" in found:
        lines += _policies(found["measure"], method)
    if stopped := found.get("ppo", {}).get("stopped"):
        lines.append((f"{method} stopped early", str(stopped), ""))
    return lines + closing_lines(folder, found)


def _preference(result: Mapping[str, Any]) -> Iterator[Line]:
    """Held-out accuracy, and what simple rules reach on the same pairs."""
    yield "held-out accuracy", share(result["accuracy"]), f"{result['accuracy'].n} pairs"
    for name, accuracy in result["baselines"].items():
        yield f"  by {name} alone", share(accuracy), str(result.get("baseline_notes", {}).get(name, ""))


def _policies(result: Mapping[str, Any], method: str) -> Iterator[Line]:
    """Gain, win rate and KL of best-of-n and of the trained policy against the policy as it was."""
    for policy, label in (("best_of_n", f"best of {result['n']}"), ("ppo", method)):
        gain, wins, kl = (result[what][policy] for what in ("gain", "win_rate", "kl"))
        for judge, by in (("pm", "by its own model"), ("pm_judge", "by the second model")):
            yield f"{label}: gain {by}", f"{nats(gain[judge])} nats", ""
            yield f"{label}: wins {by}", share(wins[judge]), "against the policy as it was; half is chance"
        text = f"{kl:.2f} nats" if isinstance(kl, int | float) else f"{with_interval(kl, '.2f')} nats"
        yield f"{label}: KL", text, "log n - (n - 1)/n" if policy == "best_of_n" else "per reply"
