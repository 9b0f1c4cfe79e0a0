"""What a run of ``evaluate`` leaves: ``results/<suite>.<variant>.json``, and what lm-evaluation-harness adds to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preflab.conversion import stored_as
from preflab.evals.core.runner import MeasuredValue, SuiteSummary
from preflab.evals.core.suite import Suite, Variant
from preflab.run import read_result

ITEMS = "items"
"""Folder of a run with a line for each item of each suite."""
HARNESS = "lm_eval"
"""Name of the results that `preflab.bridges.lm_eval` adds to a run."""


@dataclass(frozen=True, kw_only=True)
class SuiteInputs:
    """What a result depends on; where one of these changed, the suite is asked anew."""

    data: str
    """Digest of the items."""
    limit: int | None
    responders: Mapping[str, str] = field(metadata=stored_as("who"))
    """Role -> which model answers in it."""
    best_of: int


@dataclass(frozen=True, kw_only=True)
class SuiteResult(SuiteSummary):
    """Measures of one suite in one variant."""

    inputs: SuiteInputs = field(metadata=stored_as("asked"))
    sources: Sequence[str]
    """Files of the data."""
    available: int
    """Items in the data, of which ``items`` were asked."""
    refused: Mapping[str, int]
    """Why records were left out when reading -> how many."""
    first_refused: Mapping[str, str]
    """The same reasons -> the first record."""
    cached_responses: int = field(metadata=stored_as("answers_found"))
    """Responses that an earlier run had stored."""
    measured_tokens: int
    """Tokens run for log-probabilities, each shared prefix once."""


@dataclass(frozen=True, kw_only=True)
class HarnessInputs:
    """What lm-evaluation-harness was asked for."""

    tasks: Sequence[str]
    limit: int | None
    shots: Sequence[int]
    """Numbers of examples before an item that occur among the tasks."""


@dataclass(frozen=True, kw_only=True)
class HarnessResult(SuiteSummary):
    """Metrics of lm-evaluation-harness."""

    inputs: HarnessInputs = field(metadata=stored_as("asked"))
    versions: Mapping[str, object]
    policy: str = ""
    digest: str = ""


AnyResult = SuiteResult | HarnessResult


def stage_name(suite: Suite, variant: Variant) -> str:
    """The stage of a suite in a variant; its results and items are called so."""
    return f"{suite.name}.{variant.name}"


def read_suite_results(folder: Path) -> dict[str, AnyResult]:
    """Results of the suites that have finished, by stage.

    Raises:
        RunError: one is damaged, or was written by another version of preflab.
    """
    results: dict[str, AnyResult] = {}
    for name in [path.stem for path in sorted((folder / "results").glob("*.json"))]:
        kind: type[AnyResult] = HarnessResult if name == HARNESS else SuiteResult
        if (result := read_result(folder, name, kind)) is not None:
            results[name] = result
    return results


def headline(result: SuiteSummary) -> MeasuredValue | None:
    """The measure that stands for a suite: the first that is over all its items."""
    return next((measured for measured in result.measures if not measured.column), None)


def count_failed(result: SuiteSummary) -> int:
    """Items that could not be scored."""
    return sum(result.failed.values())


def skipped_suites(record: Mapping[str, Any]) -> Mapping[str, str]:
    """Suites that a run with ``all`` passed over -> why, from its ``record.json``."""
    return dict(record.get("counts", {}).get("suites_passed_over") or {})
