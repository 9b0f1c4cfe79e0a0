"""The outcome of a run of ``evaluate`` in a few lines: the first measure of each suite."""

from pathlib import Path

from preflab.atomic_files import read_json
from preflab.recipes.evaluate.report import BETTER, headline, suite_results
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import in_unit
from preflab.reporting.run_files import read_results


def summarise(folder: Path) -> list[Line]:
    """A line for every suite, the report, and what was passed over."""
    found = suite_results(folder)
    lines: list[Line] = []
    for name, result in found.items():
        main = headline(result)
        if main is None:
            lines.append((name, "no item could be scored", _failed(result)))
            continue
        remark = ", ".join(text for text in (main["name"], BETTER[main["better"]], _failed(result)) if text)
        lines.append((name, in_unit(main["estimate"], main["unit"]), remark))
    passed = read_json(folder / "record.json").get("counts", {}).get("suites_passed_over") or {}
    lines += [(name, "passed over", why) for name, why in passed.items()]
    return lines + closing_lines(folder, read_results(folder))


def _failed(result: dict[str, object]) -> str:
    failed: dict[str, int] = result["failed"]  # type: ignore[assignment]
    n = sum(failed.values())
    return f"{n} of {result['items']} not scored" if n else ""
