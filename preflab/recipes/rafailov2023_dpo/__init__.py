"""Fit a policy to comparisons directly: DPO or IPO, without a preference model and without sampling in training.

Papers    Rafailov et al. 2023 (arXiv 2305.18290), DPO; Azar et al. 2023 (2310.12036), IPO; Ouyang et al. 2022
          (2203.02155) for many replies to one prompt, and for the SFT that may go before.
Claims    The policy's log-ratios to its reference pick the better of two unseen replies more often than chance, than
          length or words alone, and than the reference's own likelihood; its replies win over the reference's by a
          preference model that was fitted to other comparisons.
Measures  accuracy of implicit rewards; win rate; gain in score [nats]; KL [nats per reply]. 95 % intervals, clustered
          by prompt.
Needs     Nothing: policy and comparisons come with the package. Two cores and 8 GB do.
Differs   Adapters in place of full weights, AdamW in place of RMSprop, no SFT first unless asked for; hundreds of
          comparisons of other models' replies, where the paper has tens of thousands of the SFT policy's own.
Result    docs/papers.md#rafailov2023_dpo
"""

from preflab import distributed
from preflab.recipes.common.comparison_parts import DataResult
from preflab.recipes.common.results import ExportResult, PreferenceResult, SFTResult
from preflab.recipes.rafailov2023_dpo.config import RESUME_MAY_CHANGE, SCALES, Config, default, large, smoke
from preflab.recipes.rafailov2023_dpo.report import summarise, write_report
from preflab.recipes.rafailov2023_dpo.results import DPOResult, MeasureResult
from preflab.recipes.rafailov2023_dpo.stages import Stages
from preflab.run import Run

__all__ = ["RESUME_MAY_CHANGE", "SCALES", "Config", "default", "large", "main", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Fit a preference model to measure by, perhaps fine-tune, fit the policy, measure, report; no stage twice."""
    stages = Stages(config, run)
    run.stage("data", stages.data, DataResult)
    if config.held_out_pm_share > 0:
        run.stage("preference_judge", stages.preference, PreferenceResult)
    if config.sft_first:
        run.stage("sft", stages.sft, SFTResult)
    run.stage("dpo", stages.dpo, DPOResult)
    run.stage("measure", stages.measure, MeasureResult)
    run.stage("export", stages.export, ExportResult)
    with distributed.rank_zero_first() as is_writer:
        if is_writer:
            write_report(run.folder)
