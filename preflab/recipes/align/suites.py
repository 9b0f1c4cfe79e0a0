"""The main job's own measurements of alignment: the suites that come with the package, before and after.

They are scored by log-probability alone, so that two models take under a minute; ``preflab eval`` has the others.
"""

import json
from typing import TYPE_CHECKING, Any

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.paired_difference import compare_items
from preflab.evals.core.runner import run_items, select_items, summary
from preflab.evals.suites import starter_suites
from preflab.models.roles import Role
from preflab.rollouts.requests.responders import LocalPolicy
from preflab.rollouts.requests.response_cache import ResponseCache

if TYPE_CHECKING:
    from preflab.recipes.align.stages import Stages

WHO = ("before", "after")


def measure_suites(stages: "Stages", policy: Role) -> dict[str, Any]:
    """Both models on every starter suite, and their differences item by item."""
    roles = {"before": stages.models.reference, "after": policy}
    asked = {
        who: LocalPolicy(role, stages.models.encoder, name=who, weights=who, max_tokens=stages.models.scoring_tokens)
        for who, role in roles.items()
    }
    wanted = starter_suites()
    loaded = [
        select_items(suite.load(DataSource()).items, stages.config.suite_items, stages.run.seed) for suite, _ in wanted
    ]
    found: dict[str, Any] = {}
    total = len(WHO) * sum(map(len, loaded))
    with stages.run.progress("alignment suites", total, "items") as advance:
        for (suite, way), own in zip(wanted, loaded, strict=True):
            told = {
                who: run_items(way, own, {"policy": asked[who]}, cache=ResponseCache(None), advance=advance)
                for who in WHO
            }
            lines = [[json.loads(json.dumps(one.to_json())) for one in told[who]] for who in WHO]
            compared = compare_items(suite.measures, *lines)
            found[suite.name] = {
                "title": suite.title,
                "summary": suite.summary,
                "items": compared.common,
                "failed": {who: summary(suite, way, told[who]).failed for who in WHO},
                "differences": [{**vars(d), "outcome": d.outcome} for d in compared.differences],
            }
    return {"suites": found, "measured_tokens": sum(own.scored_tokens for own in asked.values())}
