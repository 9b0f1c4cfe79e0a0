"""Fine-tune a policy on good replies: the best ones of comparisons, or whole dialogues.

Papers    Stiennon et al. 2020 (arXiv 2009.01325), supervised baseline; Ouyang et al. 2022 (2203.02155), SFT.
Claims    Unseen replies of the same kind become more probable; with more passes the loss on unseen replies is least
          near the first (Ouyang et al., app. C.1).
Measures  nats per reply token on held-out replies, before and after and after each pass. 95 % intervals, clustered by
          prompt.
Needs     Nothing: policy and comparisons come with the package. Two cores and 8 GB do.
Differs   Adapters in place of full weights; no dropout (these models have none; Ouyang et al. use 0.2); the last
          step's policy is kept, not the one a preference model likes best; no pre-training text is mixed in.
Result    docs/papers.md#sft
"""

from preflab import distributed
from preflab.recipes.common.results import ExportResult
from preflab.recipes.sft.config import RESUME_MAY_CHANGE, SCALES, Config, default, large, smoke
from preflab.recipes.sft.report import summarise, write_report
from preflab.recipes.sft.results import DataResult, MeasureResult, SFTResult
from preflab.recipes.sft.stages import Stages
from preflab.run import Run

__all__ = ["RESUME_MAY_CHANGE", "SCALES", "Config", "default", "large", "main", "smoke", "summarise", "write_report"]


def main(config: Config, run: Run) -> None:
    """Fit, measure, report; every stage is kept and none is done twice."""
    stages = Stages(config, run)
    run.stage("data", stages.data, DataResult)
    run.stage("sft", stages.sft, SFTResult)
    run.stage("measure", stages.measure, MeasureResult)
    run.stage("export", stages.export, ExportResult)
    with distributed.rank_zero_first() as is_writer:
        if is_writer:
            write_report(run.folder)
