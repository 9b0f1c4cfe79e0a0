"""Reading a run folder: what it ran on, what its stages left behind, what it logged. Nothing is changed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflab.atomic_files import read_json
from preflab.maths.statistics import Estimate

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """The files of a run folder, as they are."""

    folder: Path
    recipe: str
    """As ``config.json`` has it; an earlier version may have called it otherwise."""
    config: Json
    record: Json
    """With the sections ``made_by``, ``data``, ``counts`` and ``model``, which may be empty."""
    results: dict[str, Json]
    """Of the finished stages, in the order in which they finished where that is known."""
    state: Json
    """Empty where there is none."""


def read_run(folder: Path) -> RunFiles:
    """Read a run folder.

    Raises:
        RunError: it is none, or one of its files is damaged.
    """
    config = read_json(folder / "config.json")
    record, state = folder / "record.json", folder / "state.json"
    state_json = read_json(state) if state.exists() else {}
    stages = [path.stem for path in sorted((folder / "results").glob("*.json"))]
    finished = [name for name in state_json.get("done", []) if name in stages]
    order = finished + [name for name in stages if name not in finished]
    sections: Json = {"made_by": {}, "data": {}, "counts": {}, "model": {}}
    return RunFiles(
        folder=folder,
        recipe=str(config.get("recipe")),
        config=dict(config.get("config", {})),
        record=sections | (read_json(record) if record.exists() else {}),
        results={name: read_json(folder / "results" / f"{name}.json") for name in order},
        state=state_json,
    )


def read_results(folder: Path, stages: Iterable[str] | None = None) -> dict[str, Any]:
    """Results of finished stages by name, all or those that are named; estimates as `Estimate`."""
    names = sorted(path.stem for path in (folder / "results").glob("*.json")) if stages is None else stages
    paths = {name: folder / "results" / f"{name}.json" for name in names}
    return {name: restore_estimates(read_json(path)) for name, path in paths.items() if path.exists()}


def restore_estimates(value: Any) -> Any:
    """Estimates, wherever they stand in a result, as what they were."""
    if isinstance(value, Mapping):
        if {"value", "low", "high", "n", "level"} <= value.keys():
            return Estimate.from_json(dict(value))
        return {key: restore_estimates(inner) for key, inner in value.items()}
    return [restore_estimates(inner) for inner in value] if isinstance(value, list) else value


def metric_lines(path: Path) -> list[Json]:
    """Lines of ``metrics.jsonl``; a last one that a kill cut off is left out."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line]


def metrics_by_stage(folder: Path) -> dict[str, list[Json]]:
    """What each stage logged, in order."""
    metrics: dict[str, list[Json]] = {}
    for line in metric_lines(folder / "metrics.jsonl"):
        metrics.setdefault(str(line["stage"]), []).append(line)
    return metrics
