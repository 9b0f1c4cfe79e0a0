"""The main job's own measurements of alignment: the suites that come with the package, before and after.

They are scored by log-probability alone, so that two models take under a minute; ``preflab eval`` has the others.
"""

import json
from collections.abc import Sequence

from preflab.atomic_files import json_text
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.paired_difference import MeasureDifference, compare_items
from preflab.evals.core.runner import ItemResult, restore_line, run_items, select_items, summary
from preflab.evals.core.suite import Suite, Variant
from preflab.evals.suites import starter_suites
from preflab.models.roles import Role
from preflab.recipes.align.results import FailedItems, MeasureChange, SuiteChange, SuitesResult
from preflab.recipes.common.model_roles import ModelRoles
from preflab.rollouts.requests.responders import LocalPolicy
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.run import Run


def measure_suites(run: Run, models: ModelRoles, policy: Role, max_items: int | None) -> SuitesResult:
    """Both models on every starter suite, and their differences item by item.

    Args:
        models     its reference is the model before.
        policy     the model after.
        max_items  of each suite; None: all.
    """
    roles = {"before": models.reference, "after": policy}
    responders = [
        LocalPolicy(role, models.encoder, name=name, weights=name, max_tokens=models.scoring_tokens)
        for name, role in roles.items()
    ]
    suites = starter_suites()
    selected = [select_items(suite.load(DataSource()).items, max_items, run.seed) for suite, _ in suites]
    changes: dict[str, SuiteChange] = {}
    total = len(responders) * sum(map(len, selected))
    with run.progress("alignment suites", total, "items") as advance:
        for (suite, variant), items in zip(suites, selected, strict=True):
            before, after = (
                run_items(variant, items, {"policy": responder}, cache=ResponseCache(None), advance=advance)
                for responder in responders
            )
            changes[suite.name] = suite_change(suite, variant, before, after)
    return SuitesResult(suites=changes, measured_tokens=sum(responder.scored_tokens for responder in responders))


def suite_change(
    suite: Suite, variant: Variant, before: Sequence[ItemResult], after: Sequence[ItemResult]
) -> SuiteChange:
    """What changed in a suite, on the items that were scored in both."""
    lines = ([_items_file_line(result) for result in results] for results in (before, after))
    paired = compare_items(suite.measures, *lines)
    return SuiteChange(
        title=suite.title,
        summary=suite.summary,
        items=paired.common,
        failed=FailedItems(
            before=dict(summary(suite, variant, before).failed), after=dict(summary(suite, variant, after).failed)
        ),
        differences=[_measure_change(difference) for difference in paired.differences],
    )


def _items_file_line(result: ItemResult) -> dict[str, object]:
    """As an items' file would give it back."""
    line: dict[str, object] = restore_line(json.loads(json_text(result.to_json())))
    return line


def _measure_change(difference: MeasureDifference) -> MeasureChange:
    return MeasureChange(
        name=difference.name,
        unit=difference.unit,
        better=difference.better,
        before=difference.a,
        after=difference.b,
        gap=difference.gap,
        outcome=difference.outcome,
    )
