"""Models that follow instructions are less biased when they are asked to be: moral self-correction.

Paper     Ganguli et al. 2023, "The Capacity for Moral Self-Correction in Large Language Models", arXiv 2302.07459.
Claims    An instruction not to be biased (Q+IF) lowers the size of BBQ's ambiguous score and of the correlation of
          pronouns with labour statistics, and moves admissions towards parity; reasoning first (Q+IF+CoT) does so too;
          accuracy where the context is clear does not suffer; told the statistics, pronouns follow them. The effect
          grows with size and with steps of RLHF. Ours beside them: it is larger than that of an instruction that asks
          for care alone, and turns round when the instruction asks for bias.
Measures  s_AMB, s_DIS and accuracies (BBQ); rho and neutral mass (Winogender); gap in P(yes) [points] (admissions); all
          with 95 % intervals that resample whole templates, occupations, students; conditions are compared paired.
Needs     One or more policies, each with its size and its steps of RLHF where these are axes. BBQ, Winogender and the
          law-school survey as files (docs/evals.md says where they are published); twelve items of each of our own
          come with the package.
Differs   Prompts are in our words, with three paraphrases each; the option is read as " (a)" behind the opening; P(yes)
          and pronouns are scaled to the options named (inferred from the paper); temperature 1 for reasoning (not
          stated); several chains of thought an item where the paper draws one (inferred); models of other families
          and far smaller than 810M to 175B, so look for directions. Not from the paper: the controls.
Result    docs/papers.md#ganguli2023_self_correction
"""

from preflab.recipes.ganguli2023_self_correction.config import (
    RESUME_MAY_CHANGE,
    SCALES,
    Config,
    default,
    paper,
    small,
    smoke,
)
from preflab.recipes.ganguli2023_self_correction.report import summarise, write_report
from preflab.recipes.ganguli2023_self_correction.stages import Stages
from preflab.run import Run

__all__ = [
    "RESUME_MAY_CHANGE",
    "SCALES",
    "Config",
    "default",
    "main",
    "paper",
    "small",
    "smoke",
    "summarise",
    "write_report",
]


def main(config: Config, run: Run) -> None:
    """Ask every checkpoint under every condition, compare, export, report; responses are stored as they come."""
    stages = Stages(config, run)
    stages.data()
    for checkpoint in stages.study.checkpoints:
        for benchmark in config.benchmarks:
            stages.measure(checkpoint, benchmark)
        stages.release()
    stages.compare()
    stages.export()
    write_report(run.folder)
