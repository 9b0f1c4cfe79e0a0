"""Align a small model with preferences, end to end: the main job.

Papers    Bai et al. 2022 (arXiv 2204.05862) for the whole road; Stiennon et al. 2020 (2009.01325) and Ouyang
          et al. 2022 (2203.02155) for its parts; Gao et al. 2022 (2210.10760) for best-of-n.
Claims    A preference model trained on comparisons picks the better of two unseen replies more often than
          chance and than length or words alone; best-of-n and PPO raise its score on unseen prompts; a second
          model, trained on other comparisons, agrees; PPO's score rises with the square root of KL.
Measures  accuracy; score [nats]; win rate; KL [nats per reply]. 95 % intervals, clustered by prompt.
Needs     Nothing: policy and comparisons come with the package. Two cores and 8 GB do.
Differs   The preference models start from the policy itself, not from a pre-trained preference model;
          adapters in place of full weights; hundreds of comparisons, not hundreds of thousands.
Result    docs/papers.md#align
"""

from preflab import distributed
from preflab.recipes.align.chat import open_models
from preflab.recipes.align.claims import stage_verdicts
from preflab.recipes.align.config import ORDER, RESUME_MAY_CHANGE, SCALES, Config, default, large, smoke
from preflab.recipes.align.report import summarise, write_report
from preflab.recipes.align.results import BestOfNResult, MeasureResult, PolicyTrainingResult, SuitesResult
from preflab.recipes.align.stages import POLICY, POLICY_STAGE, Stages
from preflab.recipes.common.comparison_parts import DataResult
from preflab.recipes.common.results import ExportResult, PreferenceResult
from preflab.run import Run

__all__ = [
    "RESUME_MAY_CHANGE",
    "SCALES",
    "Config",
    "default",
    "large",
    "main",
    "open_models",
    "smoke",
    "stage_verdicts",
    "summarise",
    "write_report",
]


def main(config: Config, run: Run) -> None:
    """Compare, fit, improve, measure, report; every stage is kept and none is done twice."""
    stages = Stages(config, run)
    last = ORDER.index(config.until)
    if last >= ORDER.index("best-of-n") and not (run.is_done(POLICY_STAGE) and run.is_done("best_of_n")):
        stages.check_sampler()
    run.stage("data", stages.data, DataResult)
    run.stage("preference", stages.preference, PreferenceResult)
    run.stage("preference_judge", stages.held_out_preference, PreferenceResult)
    if last >= ORDER.index("best-of-n"):
        run.stage("best_of_n", stages.best_of_n, BestOfNResult)
    if last >= ORDER.index("ppo"):
        run.stage(POLICY_STAGE, stages.train_policy, PolicyTrainingResult)
    if last >= ORDER.index("measure"):
        run.stage("measure", stages.measure, MeasureResult)
        run.stage("suites", stages.suites, SuitesResult)
    if run.is_done(POLICY_STAGE) and run.is_done("export") and POLICY not in run.result("export", ExportResult).saved:
        run.invalidate("export")  # an earlier start stopped before there was a policy to save
    run.stage("export", stages.export, ExportResult)
    with distributed.rank_zero_first() as is_writer:
        if is_writer:
            write_report(run.folder)
