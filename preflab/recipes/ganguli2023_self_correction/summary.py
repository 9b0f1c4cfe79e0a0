"""The outcome of a run of ``ganguli2023_self_correction`` in a few lines, from the results it left behind."""

from pathlib import Path

from preflab.recipes.ganguli2023_self_correction.conditions import CONDITIONS
from preflab.recipes.ganguli2023_self_correction.measures import HEADLINE
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import with_interval
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """Each benchmark's measure under each condition, how the claims came out, and where the files are."""
    found = read_results(folder)
    lines: list[Line] = []
    for result in (own for own in found.values() if "conditions" in own):
        name = HEADLINE[result["benchmark"]]
        for key, own in result["conditions"].items():
            condition, _, paraphrase = key.partition(".")
            if paraphrase not in ("", "0"):
                continue
            estimate, failed = own["measures"].get(name), own["items"] - own["scored"]
            remark = f"{failed} of {own['items']} not scored" if failed else f"{own['items']} items"
            what = f"{result['checkpoint']}, {result['benchmark']}: {name}, {CONDITIONS[condition][1]}"
            lines.append((what, "undefined" if estimate is None else with_interval(estimate, "+.2f"), remark))
    if (compare := found.get("compare")) is not None:
        outcomes = [own["outcome"] for own in compare["verdicts"]]
        told = ", ".join(f"{outcomes.count(own)} {own}" for own in ("holds", "undecided", "fails"))
        lines.append(("claims", told, f"{len(compare['undefined'])} undefined"))
    if (folder / "export").is_dir():
        lines.append(("self-corrected answers", str(folder / "export"), ""))
    return lines + closing_lines(folder, found)
