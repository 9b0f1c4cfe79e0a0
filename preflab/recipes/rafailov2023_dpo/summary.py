"""The outcome of a run of ``dpo`` in a few lines, from the results it left behind."""

from pathlib import Path

from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import nats, share, with_interval
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """A line for every headline number and every file worth opening; stages not run have none."""
    found = read_results(folder)
    lines: list[Line] = []
    if (own := found.get("dpo")) is not None:
        lines.append(("held-out accuracy", share(own["accuracy"]), f"{own['accuracy'].n} pairs, implicit rewards"))
        for name, accuracy in own["baselines"].items():
            lines.append((f"  by {name} alone", share(accuracy), str(own["baseline_notes"].get(name, ""))))
    if (judge := found.get("preference_judge")) is not None:
        lines.append(("  by the judge", share(judge["accuracy"]), "a preference model fitted to other comparisons"))
    if (sft := found.get("sft")) is not None:
        lines.append(("SFT: gain", f"{nats(sft['gain'])} nats", "per token of held-out best replies"))
    if (measure := found.get("measure")) is not None:
        if "win_rate" in measure:
            lines.append(("wins by the judge", share(measure["win_rate"]), "against its reference; half is chance"))
            lines.append(("gain by the judge", f"{nats(measure['gain'])} nats", ""))
        lines.append(("KL", f"{with_interval(measure['kl'], '.2f')} nats", "per reply"))
    return lines + closing_lines(folder, found)
