"""Iterated online training: deploy policies, have them judged, learn from old and new judgements, deploy again.

Papers    Bai et al. 2022 (arXiv 2204.05862), sec. 4.5 "iterated online RLHF"; Davidson 1970 for ratings with ties.
Claims    A preference model trained on old and new comparisons picks the better of two replies of the newest policies
          more often than chance; the newest policy that was judged is rated above the policy that all start from; where
          the annotators' preference is known, the policies come closer to it.
Measures  accuracy; Elo with intervals, by policy; KL [nats per reply]; gain in score [nats]; share of the known
          preference that is learned. 95 % intervals, clustered by prompt.
Needs     A store of judgements and people: 'preflab collect' on the same store shows the study and lets its policies
          answer. With ``annotators=scripted`` the run judges by itself, by a preference that is known.
Differs   Preference models start from the policy itself, not from a pre-trained preference model; adapters in place of
          full weights; the policy is trained by PPO on prompts alone that were seen, none are written by a model;
          strengths are used only to drop the weakest; ties count in ratings.
Result    docs/papers.md#bai2022_online: the loop on a real server at the toy scale; none with people yet
"""

from preflab import distributed
from preflab.errors import ConfigError
from preflab.recipes.bai2022_online.config import RESUME_MAY_CHANGE, SCALES, Config, default, scripted, smoke, toy
from preflab.recipes.bai2022_online.report import write_report
from preflab.recipes.bai2022_online.results import (
    CollectResult,
    CompareResult,
    DeployResult,
    MeasureResult,
    PolicyRoundResult,
    PreferenceRoundResult,
)
from preflab.recipes.bai2022_online.stages import Stages
from preflab.recipes.bai2022_online.summary import summarise, waiting
from preflab.recipes.common.comparison_parts import DataResult
from preflab.recipes.common.results import ExportResult
from preflab.run import Run

__all__ = [
    "RESUME_MAY_CHANGE",
    "SCALES",
    "Config",
    "default",
    "main",
    "scripted",
    "smoke",
    "summarise",
    "toy",
    "waiting",
    "write_report",
]


def main(config: Config, run: Run) -> None:
    """Learn from what is there; then deploy, wait, learn from everything, as often as asked; every stage is kept."""
    if distributed.world_size() > 1:
        raise ConfigError("this recipe runs in one process: it waits for people most of the time")
    stages = Stages(config, run)
    try:
        run.stage("data", stages.data, DataResult)
        _learn(stages, run, 0)
        for number in range(1, config.rounds + 1):
            if not _collect(stages, run, number):
                return
            _learn(stages, run, number)
        if config.final_judgements and not _collect(stages, run, config.rounds + 1):
            return
        run.stage("compare", stages.compare, CompareResult)
        run.stage("export", stages.export, ExportResult)
    finally:
        stages.close()
        write_report(run.folder)


def _collect(stages: Stages, run: Run, number: int) -> bool:
    """Deploy the newest policies and wait until they are judged; False where the run is to stop until then."""
    run.stage(f"deploy{number}", lambda: stages.deploy(number), DeployResult)
    if not run.is_done(f"collect{number}") and not stages.is_judged(number):
        return False
    run.stage(f"collect{number}", lambda: stages.collect(number), CollectResult)
    return True


def _learn(stages: Stages, run: Run, number: int) -> None:
    """A new preference model on all data, a new policy from the start policy, and how they do."""
    run.stage(f"preference{number}", lambda: stages.fit_preference_model(number), PreferenceRoundResult)
    run.stage(f"policy{number}", lambda: stages.train_policy(number), PolicyRoundResult)
    run.stage(f"measure{number}", lambda: stages.measure(number), MeasureResult)
