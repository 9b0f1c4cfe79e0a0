"""Measure a model: bias, honesty, over-refusal, preferences and what alignment costs, suite by suite.

Papers    Askell et al. 2021 (arXiv 2112.00861), Bai et al. 2022 (2204.05862), Bai et al. 2022 (2212.08073), Ganguli et
          al. 2023 (2302.07459), and those that each suite names.
Claims    None of its own: it measures. ``preflab compare`` says whether two models differ.
Measures  Each suite's own, with 95 % intervals that resample whole groups (templates, prompts, passages).
Needs     Nothing for ``starter``; the data of the other suites as files or from the hub (docs/evals.md).
Differs   Prompts are in our words where papers print none or theirs are under licence; each suite says so.
Result    README.md beside this file; docs/baselines.md has SmolLM2 and the aligned default on the field's sets.
"""

from collections import Counter

from preflab.errors import DataError
from preflab.recipes.evaluate.config import RESUME_MAY_CHANGE, SCALES, Config, default, smoke
from preflab.recipes.evaluate.report import write_report
from preflab.recipes.evaluate.stages import Stages
from preflab.recipes.evaluate.summary import summarise
from preflab.run import Run

__all__ = ["RESUME_MAY_CHANGE", "SCALES", "Config", "default", "main", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Measure every suite, then report.

    Raises:
        DataError: no item of any suite could be scored; the report says why.
    """
    results = Stages(config, run).measure_all()
    write_report(run.folder)
    if results and not any(result.scored for result in results):
        reasons = sum((Counter(result.failed) for result in results), Counter[str]())
        listed = ", ".join(f"{n:,} x {reason}" for reason, n in reasons.most_common(5)) or "there are no items"
        raise DataError(f"no item could be scored: {listed}", path=run.folder)
