"""``report.html`` of the recipe ``christiano2017_mujoco``."""

from pathlib import Path

from preflab.recipes.christiano2017_story import stages_of, story_of
from preflab.recipes.plain_report import read_facts, write_plain_report


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    from preflab.recipes.christiano2017_mujoco import SCALES  # here, because that imports this module

    stages = stages_of(folder, "christiano2017_mujoco")
    facts = read_facts(folder, "christiano2017_mujoco", stages)
    title = f"{facts.config['task']}: a reward from comparisons"
    measure, agent = "True return of an episode", "PPO stands in for the paper's TRPO."
    return write_plain_report(facts, stages, story_of(facts, title, measure=measure, agent=agent), SCALES)
