"""``report.html`` of the recipe ``christiano2017_mujoco``."""

from pathlib import Path

from preflab.recipes.christiano2017.report import Words, write_story
from preflab.reporting.html import Json


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder; see `christiano2017_story.write_story`."""
    from preflab.recipes.christiano2017.mujoco.config import SCALES  # here, because that imports this module

    return write_story(folder, "christiano2017_mujoco", _words, SCALES)


def _words(config: Json) -> Words:
    return Words(
        title=f"{config['task']}: a reward from comparisons",
        measure="True return of an episode",
        agent="PPO stands in for the paper's TRPO.",
    )
