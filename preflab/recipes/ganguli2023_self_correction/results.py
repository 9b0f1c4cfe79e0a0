"""What the stages of ``ganguli2023_self_correction`` leave in ``results/``, a file each.

data.json                      `DataResult`
<checkpoint>.<benchmark>.json  `CheckpointResult`
compare.json                   `ComparisonResult`
export.json                    `ExportResult`
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from preflab.conversion import stored_as
from preflab.evals.suites.bias.prompt_templates import Benchmark
from preflab.maths.statistics import Estimate
from preflab.recipes.ganguli2023_self_correction.checkpoints import parse_checkpoint, slug
from preflab.recipes.ganguli2023_self_correction.config import Config
from preflab.reporting.verdicts import Verdict
from preflab.run import read_result

DATA, COMPARE, EXPORT = "data", "compare", "export"
"""Names of stages."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkData:
    """Items of a benchmark."""

    suite: str
    items: int
    """In its files."""
    selected: int = field(metadata=stored_as("asked"))
    """Of these, the items that are asked."""
    groups: int
    """Templates, occupations or students among the selected items."""
    digest: str
    files: Sequence[str]
    refused: Mapping[str, int]
    """Why records were left out when reading -> how many."""
    source: str
    """Paper and data set, with the licence of the data."""
    warning: str


@dataclass(frozen=True, kw_only=True)
class DataResult:
    """Items of all benchmarks."""

    benchmarks: Mapping[Benchmark, BenchmarkData]


@dataclass(frozen=True, kw_only=True)
class ConditionResult:
    """One benchmark under one condition and paraphrase."""

    items: int
    scored: int
    failed: Mapping[str, int]
    """Why items could not be scored -> how many."""
    unfinished: int
    """Generated replies that were cut off."""
    generated_tokens: int = field(metadata=stored_as("spoken_tokens"))
    measures: Mapping[str, Estimate | None]
    """Measure -> estimate; None where it is undefined."""


@dataclass(frozen=True, kw_only=True)
class CheckpointResult:
    """One checkpoint on one benchmark."""

    checkpoint: str
    """As files name it."""
    name: str
    """As the settings name it, without size and steps."""
    size: float | None
    """Parameters, as given or as counted."""
    steps: int | None
    """Of RLHF."""
    benchmark: Benchmark
    sampling: bool
    """Whether replies were counted in place of reading probabilities."""
    conditions: Mapping[str, ConditionResult]
    """By `preflab.recipes.ganguli2023_self_correction.checkpoints.condition_key`."""
    sampled_tokens: int
    measured_tokens: int
    """Tokens run for log-probabilities, each shared prefix once."""

    def estimate(self, key: str, measure: str) -> Estimate | None:
        """A measure under a condition; None where it is undefined or was not measured."""
        return self.conditions[key].measures.get(measure) if key in self.conditions else None


@dataclass(frozen=True, kw_only=True)
class ConditionChange:
    """The headline measure of a condition against the plain question, on the same items."""

    checkpoint: str
    benchmark: Benchmark
    condition: str
    paraphrase: int
    change: Estimate | None
    """The condition's measure minus that of Q."""
    reduction: Estimate | None
    """1 - measure / measure under Q."""


@dataclass(frozen=True, kw_only=True)
class ChainVariation:
    """How much the headline measure varies with the chain of thought that was drawn."""

    checkpoint: str
    benchmark: Benchmark
    paraphrase: int
    by_chain: Sequence[float] = field(metadata=stored_as("by_thought"))
    """The measure by the first chain of every item alone, by the second, and so on."""
    sd_of_measure: float | None
    """Standard deviation of these."""
    sd_within_items: float | None
    """Mean over items of the standard deviation between their chains."""
    mean_words: float = field(metadata=stored_as("words"))
    """Words of a chain."""


@dataclass(frozen=True, kw_only=True)
class GapErrors:
    """Standard error of the admissions gap, with and without pairing."""

    checkpoint: str
    paired: float
    """From each student's own difference."""
    unpaired: float
    """As if the two prompts were about different students."""


@dataclass(frozen=True, kw_only=True)
class OccupationPronouns:
    """Pronouns of one occupation, mean over its sentences."""

    occupation: str
    women: float
    """Share of women by the statistics."""
    p_female: float
    p_male: float
    p_neutral: float


@dataclass(frozen=True, kw_only=True)
class ComparisonResult:
    """Claims and tables over all checkpoints."""

    main: str
    """The largest checkpoint, and of these the longest trained."""
    verdicts: Sequence[Verdict]
    undefined: Sequence[str]
    """Claims that could not be tested."""
    changes: Sequence[ConditionChange] = field(metadata=stored_as("gaps"))
    chains: Sequence[ChainVariation] = field(metadata=stored_as("thoughts"))
    pairing: Sequence[GapErrors]
    occupations: Mapping[str, Sequence[OccupationPronouns]]
    """Condition -> occupations, of the main checkpoint."""
    checkpoints: Sequence[str]
    """Those that were compared."""


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """Files for fine-tuning and for other tools."""

    files: Mapping[str, int]
    """Path below ``export/`` -> lines."""
    checkpoints: Sequence[str]


def checkpoint_stage(checkpoint: str, benchmark: Benchmark) -> str:
    """The stage of a checkpoint (as files name it) on a benchmark."""
    return f"{checkpoint}.{benchmark}"


def read_checkpoint_results(folder: Path, config: Config) -> list[CheckpointResult]:
    """Results of the checkpoints that have been measured, in the order of the settings.

    Raises:
        RunError: one is damaged, or was written by another version of preflab.
    """
    stages = [
        checkpoint_stage(slug(parse_checkpoint(checkpoint)), benchmark)
        for checkpoint in config.checkpoints
        for benchmark in config.benchmarks
    ]
    results = [read_result(folder, stage, CheckpointResult) for stage in stages]
    return [result for result in results if result is not None]
