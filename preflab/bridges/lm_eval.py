"""Tasks of lm-evaluation-harness on our policies, for capabilities that alignment may cost; results join a run.

``python -m preflab.bridges.lm_eval RUN_OR_MODEL --tasks boolq,arc_easy [--run RUN] [--include-path FOLDER]``. Tasks
are the harness's own, or YAML files in a folder of yours. With ``--run`` the results stand in the run's folder as
``results/lm_eval.json``, in the form of every other suite's, and its report shows them.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from preflab.atomic_files import read_json, write_json
from preflab.bridges.extras import import_extra
from preflab.conversion import to_json
from preflab.errors import ConfigError, PreflabError, RunError
from preflab.evals.core.runner import MeasuredValue
from preflab.maths.statistics import Estimate
from preflab.recipes.common.open_models import ModelLoading, open_policy
from preflab.recipes.evaluate.results import HARNESS
from preflab.reporting.format import ascii_text, in_unit
from preflab.rollouts.requests.responders import LocalPolicy, Responder
from preflab.runner.launch import find_run

SHARES = ("acc", "acc_norm", "acc_bytes", "exact_match", "em", "f1", "mc1", "mc2", "pass@1")
"""Metrics of the harness between 0 and 1."""
NORMAL_95 = 1.959964
"""Standard errors on either side of a 95 % interval."""


def evaluate(
    policy: Responder | str,
    tasks: Sequence[str],
    *,
    run: str | Path | None = None,
    runs: str = "runs",
    include_path: Path | None = None,
    seed: int = 0,
    **settings: Any,
) -> dict[str, Any]:
    """Run tasks of the harness.

    Args:
        policy        one in this process, or its name: a run, smollm2, tiny, a folder, a .gguf file, a hub id.
        run           a run of ``preflab eval`` of the same policy, by name or folder: the results join it.
        runs          the folder in which named runs lie.
        include_path  a folder with task files (YAML) of your own.
        settings      of ``lm_eval.simple_evaluate`` under its own names: ``limit`` (items of each task at most),
                      ``num_fewshot``, ``apply_chat_template`` and others.

    Returns:
        what ``results/lm_eval.json`` holds: a `preflab.recipes.evaluate.results.HarnessResult`.

    Raises:
        ConfigError: lm-eval is not installed, a task is not known, or the policy gives no log-probabilities.
        RunError: ``run`` is no run, or has measured another policy.
    """
    harness = import_extra("lm_eval")
    manager = import_extra("lm_eval.tasks").TaskManager(
        include_path=None if include_path is None else str(include_path)
    )
    available = set(manager.all_tasks)
    if unknown := [task for task in tasks if task not in available]:
        raise ConfigError(f"lm-eval knows no task {', '.join(map(repr, unknown))}; 'lm-eval ls tasks' lists them")
    folder = None if run is None else find_run(str(run), runs)
    opened = open_policy(policy, ModelLoading(runs=runs)) if isinstance(policy, str) else policy
    if not isinstance(opened, LocalPolicy):
        raise ConfigError(f"{opened.name}: lm-eval needs log-probabilities, which a policy in this process alone gives")
    if folder is not None:
        _check_same_policy(folder, opened.name, opened.digest)
    from preflab.bridges.lm_eval_model import PolicyLM

    harness_results = harness.simple_evaluate(
        model=PolicyLM(opened, seed=seed),
        tasks=list(tasks),
        task_manager=manager,
        random_seed=seed,
        **{"bootstrap_iters": 1000, **settings},
    )
    results = results_of(harness_results, limit=settings.get("limit")) | {
        "policy": opened.name,
        "digest": opened.digest,
    }
    if folder is not None:
        (folder / "results").mkdir(exist_ok=True)
        write_json(folder / "results" / f"{HARNESS}.json", results)
    return results


def _check_same_policy(folder: Path, policy: str, digest: str) -> None:
    """Refuse to put one model's numbers beside another's.

    Raises:
        RunError: the run has measured another policy, or none.
    """
    measured = read_json(folder / "record.json").get("model", {})
    if measured.get("digest") != digest:
        name = repr(measured["name"]) if "name" in measured else "no policy"
        raise RunError(
            f"{folder}: this run has measured {name} (digest {measured.get('digest', 'none')}), not {policy!r} "
            f"(digest {digest}). Name a run of 'preflab eval' of the same policy, or leave --run out"
        )


def results_of(harness_results: Mapping[str, Any], *, limit: int | None = None) -> dict[str, Any]:
    """What the harness found, in the form of a suite's results.

    Intervals are normal ones from the harness's standard errors; it resamples single items, not groups. A metric
    without a standard error has an interval without ends.
    """
    counts = {task: int(counts_["effective"]) for task, counts_ in harness_results.get("n-samples", {}).items()}
    measures = [
        _measured_value(task, key, value, harness_results, counts.get(task, 0))
        for task, metrics in harness_results["results"].items()
        for key, value in metrics.items()
        if "," in key and "_stderr," not in key and isinstance(value, int | float) and counts.get(task, 0)
    ]
    shots = sorted({int(n) for n in harness_results.get("n-shot", {}).values() if isinstance(n, int)})
    return {
        "suite": HARNESS,
        "title": "lm-evaluation-harness",
        "way": ", ".join(counts),
        "items": sum(counts.values()),
        "groups": sum(counts.values()),
        "scored": sum(counts.values()),
        "failed": {},
        "shortened_prompts": 0,
        "unfinished_replies": 0,
        "measures": measures,
        "asked": {"tasks": list(counts), "limit": limit, "shots": shots},
        "versions": {
            "lm_eval": harness_results.get("lm_eval_version"),
            "tasks": dict(harness_results.get("versions", {})),
        },
    }


def _measured_value(task: str, key: str, value: float, harness_results: Mapping[str, Any], n: int) -> dict[str, Any]:
    """One metric of one task; ``key`` is the harness's ``metric,filter``."""
    metric, _, filtered = key.partition(",")
    spread = harness_results["results"][task].get(f"{metric}_stderr,{filtered}")
    half = NORMAL_95 * float(spread) if isinstance(spread, int | float) else math.inf
    share = metric in SHARES
    low, high = (max(0.0, value - half), min(1.0, value + half)) if share else (value - half, value + half)
    higher = harness_results.get("higher_is_better", {}).get(task, {}).get(metric)
    label = f"{task} {metric}" + ("" if filtered in ("", "none") else f" ({filtered})")
    measured = MeasuredValue(
        name=label,
        unit="share" if share else "score",
        better={True: "higher", False: "lower"}.get(higher, ""),
        description="As lm-evaluation-harness computes it; normal interval from its standard error.",
        estimate=None if math.isnan(value) else Estimate(value=float(value), low=low, high=high, n=n),
    )
    return dict(to_json(measured))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; prints each metric with its interval."""
    parser = argparse.ArgumentParser(prog="python -m preflab.bridges.lm_eval", description=__doc__)
    add = parser.add_argument
    add("policy", metavar="RUN_OR_MODEL", help="A run, smollm2, tiny, a folder, a .gguf file or a hub id.")
    add("--tasks", metavar="A,B", required=True, help="Tasks, with commas between them.")
    add("--run", metavar="RUN", help="A run of preflab eval of the same policy; results join it. Default: none.")
    add("--runs", metavar="FOLDER", default="runs", help="The folder in which runs lie. Default: runs.")
    add("--include-path", metavar="FOLDER", type=Path, help="A folder with task files of your own. Default: none.")
    add("--limit", metavar="N", type=int, help="Items of each task at most. Default: all.")
    add("--num-fewshot", metavar="N", type=int, help="Examples before each item. Default: as the task says.")
    add(
        "--chat",
        action="store_true",
        dest="apply_chat_template",
        help="Ask through the chat template. Default: plain text.",
    )
    args = vars(parser.parse_args(argv))
    try:
        results = evaluate(args.pop("policy"), args.pop("tasks").split(","), **args)
    except PreflabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for measure in results["measures"]:
        estimate = None if measure["estimate"] is None else Estimate.from_json(measure["estimate"])
        print(f"{measure['name']}: {ascii_text(in_unit(estimate, measure['unit']))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
