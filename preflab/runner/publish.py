"""A finished run as one small file: settings, command, machine, hashes, verdicts, and the numbers that tables need.

What is left out is named. The bytes depend on the run folder alone. Nothing says who ran it or where.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from preflab.atomic_files import write_atomically
from preflab.conversion import to_json
from preflab.errors import RunError
from preflab.reporting.html import repeat_command
from preflab.reporting.run_files import RunFiles, metrics_by_stage, read_run
from preflab.run import flatten_settings
from preflab.runner.catalogue import RENAMED, recipe_named
from preflab.runner.earlier_layout import earlier_layout
from preflab.runner.published import FORMAT, LARGEST, PublishedVerdict, dump_lines
from preflab.runner.sources import claim_of

LONGEST_LIST = 24
LONGEST_TEXT = 200
CURVE_POINTS = 20
DIGITS = 6
"""Significant, of every number."""


def publish(folder: Path, to: Path) -> Path:
    """Write ``<to>/<recipe>/<run>.json`` of a finished run.

    Raises:
        RunError: the run is not finished, its recipe is unknown, or what must be said does not fit.
    """
    run = read_run(folder)
    earlier = earlier_layout(folder)
    if reason := unfinished(run, earlier):
        raise RunError(f"{folder} is not finished ({reason}): start the same command again, then publish it")
    fields = published_fields(run, earlier)
    return write_atomically(to / fields["recipe"] / f"{fields['run']}.json", fit(fields, folder))


def unfinished(run: RunFiles, earlier: str) -> str:
    """Why a run is not finished; empty where it is."""
    if run.state.get("checkpoint") is not None:
        return f"{run.state['checkpoint']} is under way"
    if not run.results:
        return "no stage has finished"
    if earlier:  # those versions recorded no end; their reports are written at it
        return "" if (run.folder / "report.html").exists() else "it has no report"
    ended = run.record.get("ended", {}).get("stages")
    if ended is None:
        return "its recipe did not come to its end"
    if ended != run.state.get("done"):
        return "it was taken up again since its recipe came to its end"
    waiting = getattr(recipe_named(run.recipe).load(), "waiting", None)
    return waiting(run.folder) if waiting is not None else ""


def published_fields(run: RunFiles, earlier: str, command: str | None = None) -> dict[str, Any]:
    """All that is published, before it is cut to size.

    Args:
        run      the files of the run.
        earlier  why it is of an earlier layout; empty where it is not.
        command  what repeats it, where its files do not say.
    """
    recipe = RENAMED.get(run.recipe, run.recipe)
    settings = {key: without_path(value) for key, value in flatten_settings(run.config).items()}
    made_by, data, model = (run.record.get(key, {}) for key in ("made_by", "data", "model"))
    left_out: list[str] = []
    results = {name: prune(result, family_of(name), left_out) for name, result in run.results.items()}
    return {
        "format": FORMAT,
        "recipe": recipe,
        "run": run.folder.resolve().name,
        "layout": f"earlier: {earlier}" if earlier else "current",
        "command": command or command_of(run, recipe, earlier),
        "started": made_by.get("started"),
        "seconds": rounded(sum(float(result.get("seconds", 0)) for result in run.results.values())),
        "machine": {key: made_by[key] for key in ("system", "python", "cores") if key in made_by},
        "versions": made_by.get("versions", {}),
        "settings": settings,
        "data": {key: without_path(value) for key, value in data.items() if key not in ("refused", "first_refused")},
        "model": {key: value for key, value in model.items() if key != "location"},
        "hashes": {"weights": dict(weight_hashes(run.folder)), "run": run_hash(run.folder)},
        "verdicts": [vars(verdict) for verdict in verdicts_of(run, recipe, settings)],
        "results": results,
        "curves": curves(run.folder),
        "left_out": sorted(set(left_out)),
    }


def command_of(run: RunFiles, recipe: str, earlier: str) -> str:
    """What to type to have this run again; of an earlier layout, in the version that made it."""
    if earlier and not run.record.get("command"):
        return f"preflab run {run.recipe}"
    facts = {"record": run.record, "config": run.config, "name": run.folder.resolve().name}
    command: str = without_path(repeat_command(f"preflab run {recipe}", recipe_named(recipe).load().SCALES, facts))
    return command


def verdicts_of(run: RunFiles, recipe: str, settings: Mapping[str, Any]) -> Iterator[PublishedVerdict]:
    """What every stage says of the claims, with the claim's id where a source makes it."""
    by_stage = {name: list(result.get("verdicts", [])) for name, result in run.results.items()}
    also = getattr(recipe_named(recipe).load(), "stage_verdicts", None)
    for name, verdicts in (also(run.results) if also is not None else {}).items():
        by_stage[name] = [*by_stage.get(name, []), *to_json(verdicts)]
    for stage, verdicts in by_stage.items():
        for verdict in verdicts:
            estimate = verdict["estimate"]
            claim = claim_of(recipe, verdict["claim"], stage, settings)
            yield PublishedVerdict(
                id=None if claim is None else claim[0].id,
                of="" if claim is None else claim[1],
                stage=stage,
                claim=verdict["claim"],
                outcome=verdict["outcome"],
                **{key: rounded(estimate[key]) for key in ("value", "low", "high")},
                threshold=verdict["threshold"],
                unit=verdict["unit"],
                n=estimate["n"],
                clusters=estimate.get("clusters"),
                seeds=int(settings.get("seeds", 1)),
            )


def fit(fields: Mapping[str, Any], folder: Path) -> bytes:
    """The file's bytes. Until it is small enough, curves and results go: numbered stages first, the largest of them.

    Raises:
        RunError: settings and verdicts alone are too much.
    """
    parts = {part: dict(fields[part]) for part in ("results", "curves")}
    left_out = list(fields["left_out"])
    while len(content := dump_lines({**fields, **parts, "left_out": left_out})) > LARGEST:
        sizes: dict[tuple[str, str], int] = {}
        for part, stages in parts.items():
            for name, value in stages.items():
                key = (part, family_of(name))
                sizes[key] = sizes.get(key, 0) + len(dump_lines({name: value}))
        if not sizes:
            raise RunError(f"{folder}: settings and verdicts take {len(content):,} bytes; {LARGEST:,} are allowed")
        numbered = [key for key in sorted(sizes) if key[1].endswith("*")]  # single seeds before what is made of them
        part, family = max(numbered or sorted(sizes), key=lambda key: sizes[key])
        parts[part] = {name: value for name, value in parts[part].items() if family_of(name) != family}
        left_out = [path for path in left_out if not path.startswith(f"{family}.")] + [f"{part}: {family}"]
    return content


def family_of(stage: str) -> str:
    """``labels700-*`` of ``labels700-3``: stages that differ in a number at their end."""
    return re.sub(r"\d+$", "*", stage)


# what is kept --------------------------------------------------------------------------------------------


def prune(value: Any, path: str, left_out: list[str]) -> Any:
    """Numbers rounded; texts and lists that are long, and verdicts, which stand elsewhere, left out and named."""
    if isinstance(value, Mapping):
        usual = {"level": 0.95, "clusters": None} if {"value", "low", "high", "n", "level"} <= value.keys() else {}
        pruned = {}
        for key, inner in value.items():
            inner_path = f"{path}.{key}"
            if key == "verdicts" or (key in usual and inner == usual[key]):
                continue
            if _is_long(inner):
                left_out.append(inner_path)
                continue
            pruned[key] = prune(inner, inner_path, left_out)
        return pruned
    if isinstance(value, list):
        return [prune(inner, path, left_out) for inner in value]
    return rounded(value) if isinstance(value, float) else without_path(value)


def _is_long(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) > LONGEST_TEXT
    return isinstance(value, list) and (len(value) > LONGEST_LIST or any(_is_long(inner) for inner in value))


def curves(folder: Path) -> dict[str, dict[str, list[float | int | None]]]:
    """What every stage logged at each step, thinned to some twenty steps."""
    thinned: dict[str, dict[str, list[float | int | None]]] = {}
    for stage, lines in metrics_by_stage(folder).items():
        steps = [line for line in lines if "step" in line]
        stride = max(1, -(-len(steps) // CURVE_POINTS))
        chosen = [line for i, line in enumerate(steps) if i % stride == 0 or i == len(steps) - 1]
        numbers = [key for key in (chosen[0] if chosen else {}) if isinstance(chosen[0][key], int | float)]
        if len(chosen) > 1:
            thinned[stage] = {key: [rounded(line.get(key)) for line in chosen] for key in numbers}
    return thinned


def rounded(value: Any) -> Any:
    """A number to six digits; anything else as it is."""
    if not isinstance(value, float):
        return value
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) >= 10 ** (DIGITS - 1) else short


def without_path(value: Any) -> Any:
    """Paths of a machine by their last part alone."""
    if isinstance(value, str):
        return re.sub(r"(?<![\w:/.])(?:~|/)[^\s'\"=,\]]*/([^\s'\"/=,\]]+)", r"\1", value)
    return [without_path(inner) for inner in value] if isinstance(value, list) else value


# hashes --------------------------------------------------------------------------------------------------


def weight_hashes(folder: Path) -> Iterator[tuple[str, str]]:
    """sha256 of every file of weights that the run exported, by its path within the folder."""
    for path in sorted(folder.rglob("*.safetensors")):
        if "checkpoints" not in path.relative_to(folder).parts:
            yield path.relative_to(folder).as_posix(), file_hash(path)


def run_hash(folder: Path) -> str:
    """One sha256 over settings, record, metrics and all results: of the names and hashes of these files, sorted."""
    files = [path for name in ("config.json", "record.json", "metrics.jsonl") if (path := folder / name).exists()]
    files += sorted(path for path in (folder / "results").rglob("*") if path.is_file())
    lines = (f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n" for path in files)
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
