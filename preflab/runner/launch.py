"""Start a recipe or take it up again: resolve its settings, name its folder, hand it a ``Run``."""

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from preflab import distributed
from preflab.atomic_files import read_json
from preflab.checks import HasUnread, refuse_changes_unread
from preflab.config_overrides import apply_overrides, load_yaml, parse_assignments
from preflab.conversion import did_you_mean
from preflab.errors import ConfigError, RunError
from preflab.run import Run
from preflab.runner.catalogue import Recipe, recipe_named
from preflab.runner.earlier_layout import refuse_earlier_layout
from preflab.runner.inputs import check_inputs

_ENDINGS = re.compile(r"(\.(jsonl|json|parquet|gguf|gz))+$")


def resolve(
    recipe: Recipe,
    *,
    scale: str,
    file: str | None = None,
    flags: Mapping[str, object] | None = None,
    assignments: Sequence[str] = (),
) -> Any:
    """The settings of a run: the scale's, then the file's, then the flags', then single assignments.

    Raises:
        ConfigError: the scale or a setting is unknown, a value is not what it should be, or one that was changed is
            read by nothing under the other settings.
    """
    if scale not in recipe.scales:
        near = did_you_mean(scale, recipe.scales) or f"; known are {', '.join(recipe.scales)}"
        raise ConfigError(f"recipe {recipe.name} has no scale {scale!r}{near}")
    start = config = recipe.load().SCALES[scale]()
    if file is not None:
        settings = load_yaml(file)
        try:
            config = apply_overrides(config, settings)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error
    assigned = parse_assignments(assignments)
    flagged = {name: value for name, value in (flags or {}).items() if name not in assigned}
    config = apply_overrides(config, flagged | assigned)  # at once: one may be refused without the other
    if isinstance(config, HasUnread):
        refuse_changes_unread(start, config)
    return config


def default_name(recipe: Recipe, scale: str, config: Any) -> str:
    """``align-starter-smollm2``; with the kind of judge, the scale and the seed where they are not the usual ones."""
    parts = [recipe.name]
    for name in ("data.comparisons", "model.policy", "policy"):
        outer, _, field = name.rpartition(".")
        holder = getattr(config, outer, None) if outer else config
        parts += [_stem(getattr(holder, field))] if hasattr(holder, field) else []
    judge = getattr(getattr(config, "data", None), "judge", None)
    parts += [f"judged-by-{judge.partition(':')[0]}"] if judge else []
    parts += [scale] if scale != "default" else []
    parts += [f"seed{config.seed}"] if getattr(config, "seed", 0) else []
    return "-".join(part for part in parts if part)


def _stem(name: str) -> str:
    """The last part of a path or id as part of a folder's name."""
    return re.sub(r"[^\w.]+", "-", _ENDINGS.sub("", Path(name).name).lower()).strip("-.")


def run_folder(runs: str, name: str) -> Path:
    """Where the run of that name lies.

    Raises:
        ConfigError: the name is no plain name.
    """
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise ConfigError(f"--name {name!r}: expected letters, digits, '.', '-' and '_'; --runs says in which folder")
    return Path(runs).expanduser() / name


def is_run(folder: Path) -> bool:
    """Whether a folder is a run: it has a record. A saved model has a ``config.json`` too, and none."""
    return (folder / "record.json").is_file() and (folder / "config.json").is_file()


def find_run(name: str, runs: str) -> Path:
    """The folder of a run that exists, by its name in ``runs`` or by its path.

    Raises:
        RunError: neither is a run.
    """
    home = Path(runs).expanduser()
    for folder in (home / name, Path(name).expanduser()):
        if is_run(folder):
            return folder
    names = sorted(path.parent.name for path in home.glob("*/record.json"))
    near = did_you_mean(name, names) or (f"; runs in {home}: {', '.join(names[:8])}" if names else "")
    raise RunError(f"no run {name!r}, neither in {home} nor as a path{near}")


def discard(folder: Path) -> bool:
    """Delete a run folder, and nothing that is none. True if there was something to delete.

    Raises:
        RunError: it is no run folder, or a run is under way in it.
    """
    if not folder.is_symlink() and not folder.exists():
        return False
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        config = None
    if folder.is_symlink() or not isinstance(config, dict) or "recipe" not in config:
        raise RunError(f"{folder} is no run folder (no config.json that names a recipe); --fresh leaves it alone")
    try:
        with FileLock(folder / ".lock", timeout=0):
            shutil.rmtree(folder)
    except Timeout as error:
        raise RunError(f"{folder} is in use by another process") from error
    return True


def launch(recipe: Recipe, config: Any, folder: Path, *, quiet: bool = False) -> bool:
    """Run a recipe in its folder, taking up what is there. False when it was already finished.

    A folder in which nothing was finished is removed again, so that a mistyped setting leaves nothing behind. Pieces
    of a stage that are kept, such as a judge's answers, stay: they may have cost money.

    Raises:
        RunError: the folder is of an earlier layout, belongs to other settings or to data or weights that have changed
            since, or is in use.
    """
    is_new = distributed.broadcast(not folder.exists())
    if (folder / "config.json").exists():
        if "recipe" not in read_json(folder / "config.json"):
            raise RunError(f"{folder} is no run folder: its config.json names no recipe. --name gives the run another")
        refuse_earlier_layout(folder)
    with _open(recipe, folder, config, quiet=quiet) as run:
        check_inputs(run)
        before = finished_stages(folder)
        if not run.quiet:
            _announce(folder, before, resumed=run.resumed)
        try:
            recipe.load().main(config, run)
        except BaseException:
            if is_new and distributed.is_rank_zero() and not _holds_work(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        finished = finished_stages(folder)
        run.record("ended", stages=finished)  # what 'preflab publish' asks for: the recipe came to its end
        return finished != before


def _holds_work(folder: Path) -> bool:
    """Whether a stage of a run has finished, or left pieces or answers of models to go on from."""
    return (folder / "state.json").exists() or any(
        any(folder.glob(pieces)) for pieces in ("results/*.jsonl", "answers/*.jsonl")
    )


def _announce(folder: Path, finished: list[str], *, resumed: bool) -> None:
    """Say where the run lies and what of it exists."""
    if resumed:
        text = f"{folder}: taking up this run where it stopped; finished so far: {', '.join(finished) or 'no stage'}"
    else:
        text = f"{folder}: a new run"
    print(text, file=sys.stderr, flush=True)


def finished_stages(folder: Path) -> list[str]:
    """Stages of a run that are finished, in order."""
    path = folder / "state.json"
    return list(read_json(path).get("done", [])) if path.exists() else []


def recipe_of(folder: Path) -> Recipe:
    """The recipe a run folder belongs to.

    Raises:
        RunError: the folder is of an earlier layout.
    """
    refuse_earlier_layout(folder)
    return recipe_named(str(read_json(folder / "config.json").get("recipe")))


def reopen(folder: Path) -> tuple[Any, Run]:
    """The settings of a run that exists, and the run, quiet; for those who look at it.

    Raises:
        RunError: the folder is of an earlier layout, or in use.
    """
    recipe = recipe_of(folder)
    start = next(iter(recipe.load().SCALES.values()))()
    config = apply_overrides(start, read_json(folder / "config.json").get("config", {}))
    return config, _open(recipe, folder, config, quiet=True)


def _open(recipe: Recipe, folder: Path, config: Any, *, quiet: bool) -> Run:
    """A recipe's run; ``RESUME_MAY_CHANGE`` in its module names settings that may change from one start to the next."""
    may_change = getattr(recipe.load(), "RESUME_MAY_CHANGE", ())
    return Run(folder, config, recipe=recipe.name, seed=getattr(config, "seed", 0), quiet=quiet, may_change=may_change)
