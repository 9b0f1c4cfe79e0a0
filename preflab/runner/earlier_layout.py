"""Run folders of earlier versions: they are not taken up again, but their numbers can still be published.

A run belongs to an earlier version when its recipe has another name now, or none, or when it was made with settings
that no longer exist. Its results would mix with those of other code, so nothing goes on in it.
"""

from pathlib import Path

from preflab.atomic_files import read_json
from preflab.config_overrides import apply_overrides
from preflab.errors import ConfigError, RunError
from preflab.runner.catalogue import RENAMED, recipe_named


def earlier_layout(folder: Path) -> str:
    """Why a run folder belongs to an earlier version; empty where it does not."""
    saved = read_json(folder / "config.json")
    name = str(saved.get("recipe"))
    if name in RENAMED:
        return f"its recipe {name!r} is called {RENAMED[name]!r} now"
    try:
        recipe = recipe_named(name)
    except ConfigError as error:
        return str(error)
    start = next(iter(recipe.load().SCALES.values()))()
    try:
        apply_overrides(start, saved.get("config", {}))
    except ConfigError as error:
        return str(error)
    return ""


def refuse_earlier_layout(folder: Path) -> None:
    """Complain about a run of an earlier version, and say what can be done.

    Raises:
        RunError: it is one.
    """
    if reason := earlier_layout(folder):
        raise RunError(
            f"{folder} was made by {_version(folder)} in an earlier layout: {reason}. Give this run another name, or "
            f"--fresh to begin it anew; 'preflab publish {folder}' keeps its numbers; that version opens it as it is."
        )


def _version(folder: Path) -> str:
    """``preflab 0.1.0``, as the run recorded it."""
    path = folder / "record.json"
    versions = read_json(path).get("made_by", {}).get("versions", {}) if path.exists() else {}
    return f"preflab {versions['preflab']}" if "preflab" in versions else "another version of preflab"
