"""The outcome of a run of ``evaluate`` in a few lines: the first measure of each suite."""

from pathlib import Path

from preflab.evals.core.runner import SuiteSummary
from preflab.recipes.evaluate.report import BETTER
from preflab.recipes.evaluate.results import count_failed, headline, read_suite_results, skipped_suites
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import in_unit
from preflab.reporting.run_files import read_results, read_run


def summarise(folder: Path) -> list[Line]:
    """A line for every suite, what was passed over, and the files."""
    lines: list[Line] = []
    for name, result in read_suite_results(folder).items():
        measured = headline(result)
        if measured is None:
            lines.append((name, "no item could be scored", _failed(result)))
            continue
        remark = ", ".join(text for text in (measured.name, BETTER[measured.better], _failed(result)) if text)
        lines.append((name, in_unit(measured.estimate, measured.unit), remark))
    skipped = skipped_suites(read_run(folder).record)
    lines += [(name, "passed over", reason) for name, reason in skipped.items()]
    return lines + closing_lines(folder, read_results(folder))


def _failed(result: SuiteSummary) -> str:
    failed = count_failed(result)
    return f"{failed} of {result.items} not scored" if failed else ""
