"""``report.html`` of the recipe ``christiano2017_atari``."""

from pathlib import Path

from preflab.recipes.christiano2017.report import Words, write_story
from preflab.reporting.html import Json


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder; see `christiano2017_story.write_story`."""
    from preflab.recipes.christiano2017.atari.config import SCALES  # here, because that imports this module

    return write_story(folder, "christiano2017_atari", _words, SCALES)


def _words(config: Json) -> Words:
    return Words(
        title=f"{config['game'].replace('_', ' ')}: a reward from comparisons",
        measure=f"True return of {config['loop']['window']} steps (points clipped to [-1, 1], 1 taken for a life)",
        agent="A2C, as in the paper; steps and labels are far below its own.",
    )
