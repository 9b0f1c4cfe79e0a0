"""``report.html`` of the recipe ``ganguli2023_self_correction``, and the lines at the end of a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from preflab.evals.suites.bias.prompt_templates import Benchmark
from preflab.maths.statistics import Estimate
from preflab.recipes.ganguli2023_self_correction.checkpoints import condition_key, format_size, parse_checkpoint, slug
from preflab.recipes.ganguli2023_self_correction.config import SCALES, Config
from preflab.recipes.ganguli2023_self_correction.figures import (
    axis_figures,
    calibration_figures,
    condition_label,
    conditions_figure,
    occupation_figures,
)
from preflab.recipes.ganguli2023_self_correction.measures import HEADLINE, measure_named
from preflab.recipes.ganguli2023_self_correction.results import (
    COMPARE,
    DATA,
    EXPORT,
    CheckpointResult,
    ComparisonResult,
    DataResult,
    checkpoint_stage,
    read_checkpoint_results,
)
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import DASH, in_unit, number, points, sample, with_interval
from preflab.reporting.report import Facts, Report, Section, Table, read_facts, write_report_page
from preflab.reporting.run_files import read_results, read_run
from preflab.run import read_result, typed_result

RECIPE = "ganguli2023_self_correction"
TITLES: dict[Benchmark, str] = {"bbq": "BBQ", "winogender": "Pronouns", "admissions": "Admissions"}
READING: dict[Benchmark, str] = {
    "bbq": "s_AMB: 1 if every person named in ambiguous contexts agrees with the stereotype and somebody always is "
    "named, -1 if none does, 0 if as many as not or nobody is named.",
    "winogender": "rho: correlation over occupations of the probability of the female form with the share of women. 1 "
    "mirrors the statistics, 0 is blind to occupation; neither is right in itself.",
    "admissions": "The gap in P(yes) between the two values of the attribute, mean over students; 0 is parity. No "
    "model should decide on admissions, whatever its gap.",
}
WARNING = (
    "The benchmarks put harmful stereotypes about groups of people in plain words. This page prints none of their "
    "items, but the files under items/ and export/ do."
)
LIMITS = (
    "A score of 0 on these tests does not make a model fair, rho of 0 or 1 is not right in itself, favouring a group "
    "may be lawful or unlawful by place, and the instructions can be turned round, as the inverted condition does."
)


# the lines at the end of a run ---------------------------------------------------------------------------


def summarise(folder: Path) -> list[Line]:
    """Each benchmark's measure under each condition, how the claims came out, and where the files are."""
    config = typed_result(folder / "config.json", read_run(folder).config, Config)
    results = sorted(
        read_checkpoint_results(folder, config),
        key=lambda result: checkpoint_stage(result.checkpoint, result.benchmark),
    )
    lines = [line for result in results for line in _checkpoint_lines(result)]
    comparison = read_result(folder, COMPARE, ComparisonResult)
    if comparison is not None:
        outcomes = [verdict.outcome for verdict in comparison.verdicts]
        counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in ("holds", "undecided", "fails"))
        lines.append(("claims", counts, f"{len(comparison.undefined)} undefined"))
    if (folder / "export").is_dir():
        lines.append(("self-corrected answers", str(folder / "export"), ""))
    return lines + closing_lines(folder, read_results(folder))


def _checkpoint_lines(result: CheckpointResult) -> list[Line]:
    """A line for each condition in its first paraphrase."""
    measure = HEADLINE[result.benchmark]
    lines: list[Line] = []
    for key, condition in result.conditions.items():
        if key.partition(".")[2] not in ("", "0"):
            continue
        failed = condition.items - condition.scored
        remark = f"{failed} of {condition.items} not scored" if failed else f"{condition.items} items"
        estimate = condition.measures.get(measure)
        title = f"{result.checkpoint}, {result.benchmark}: {measure}, {condition_label(key)}"
        lines.append((title, "undefined" if estimate is None else with_interval(estimate, "+.2f"), remark))
    return lines


# the page ------------------------------------------------------------------------------------------------


def stage_labels(config: Config) -> dict[str, str]:
    """Stages of a finished run, in order, and what the page calls them."""
    labels = {DATA: "data"}
    for checkpoint in config.checkpoints:
        name = slug(parse_checkpoint(checkpoint))
        labels |= {checkpoint_stage(name, b): f"{name}, {TITLES[b]}" for b in config.benchmarks}
    return labels | {COMPARE: "comparison", EXPORT: "export"}


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder, from the stages that have finished.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    config = read_facts(folder, RECIPE, {}).settings(Config)
    stages = stage_labels(config)
    facts = read_facts(folder, RECIPE, stages)
    return write_report_page(facts, stages, _report(facts, config), SCALES)


def _report(facts: Facts, config: Config) -> Report:
    comparison = read_result(facts.folder, COMPARE, ComparisonResult)
    data = read_result(facts.folder, DATA, DataResult)
    results = sorted(
        read_checkpoint_results(facts.folder, config),
        key=lambda result: (result.size or 0, -1 if result.steps is None else result.steps),
    )
    warnings = [("Content", WARNING), ("Limits", LIMITS)]
    if any(parse_checkpoint(checkpoint).name == "tiny" for checkpoint in config.checkpoints):
        warnings.insert(0, ("Smoke run", "A random two-layer model is among the checkpoints; its numbers say nothing."))
    sections = [
        _benchmark_section(config, benchmark, [result for result in results if result.benchmark == benchmark])
        for benchmark in config.benchmarks
    ]
    if comparison is not None:
        sections += [
            _reductions_section(comparison),
            _paraphrases_section(comparison, config),
            _occupations_section(comparison),
            _chains_section(comparison),
        ]
    sections += [] if data is None else [_data_section(data)]
    return Report(
        title="Moral self-correction: what an instruction takes off a model's bias",
        summary=_summary(comparison),
        warnings=warnings,
        sections=[section for section in sections if section.text or section.figures or section.tables],
    )


def _summary(comparison: ComparisonResult | None) -> list[str]:
    if comparison is None:
        return ["The comparison has not finished yet; what has been measured so far is below."]
    outcomes = [verdict.outcome for verdict in comparison.verdicts]
    holds, undecided, fails = (outcomes.count(outcome) for outcome in ("holds", "undecided", "fails"))
    paragraphs = [
        f"Of {len(outcomes)} claims {holds} hold, {undecided} are undecided and {fails} "
        "fail here. Differences are in hundredths of the measure; the conditions are compared on the same items."
    ]
    if comparison.undefined:
        paragraphs.append(
            f"Undefined, and so not judged: {'; '.join(comparison.undefined)}. A correlation is undefined where the "
            "model says the same of every occupation, and of few groups no interval is to be had."
        )
    return paragraphs


def _benchmark_section(config: Config, benchmark: Benchmark, results: Sequence[CheckpointResult]) -> Section:
    if not results:
        return Section(anchor=benchmark, title=TITLES[benchmark])
    measure = HEADLINE[benchmark]
    keys = [condition_key(condition, config.paraphrases[0]) for condition in config.conditions]
    asked_keys = [key for key in keys if any(key in result.conditions for result in results)]
    figures = [conditions_figure(benchmark, results, asked_keys, measure)]
    figures += axis_figures(benchmark, results, asked_keys, measure)
    counted = [result.checkpoint for result in results if result.sampling]
    return Section(
        anchor=benchmark,
        title=TITLES[benchmark],
        text=[READING[benchmark]],
        figures=figures,
        tables=[_values_table(results, asked_keys), *_grid_tables(results, asked_keys, measure)],
        after=[f"Counted from replies, as there are no probabilities: {', '.join(counted)}."] if counted else [],
    )


def _values_table(results: Sequence[CheckpointResult], keys: Sequence[str]) -> Table:
    """Every measure of every checkpoint and condition."""
    names = [name for result in results for condition in result.conditions.values() for name in condition.measures]
    units = {name: measure_named(results[0].benchmark, name).unit for name in names}
    rows = []
    for result in results:
        for key in (key for key in keys if key in result.conditions):
            condition = result.conditions[key]
            reasons = f" ({'; '.join(condition.failed)})" if condition.failed else ""
            rows.append(
                [
                    f"{result.checkpoint}: {condition_label(key)}",
                    *(in_unit(condition.measures.get(name), unit) for name, unit in units.items()),
                    f"{condition.scored} of {condition.items}{reasons}",
                ]
            )
    heads = ["Checkpoint: condition", *units, "Scored"]
    return Table(caption="Estimates [95 % interval], first paraphrase", heads=heads, rows=rows)


def _grid_tables(results: Sequence[CheckpointResult], keys: Sequence[str], measure: str) -> list[Table]:
    """Sizes by steps, a table a condition; nothing unless both vary."""
    sizes = sorted({result.size for result in results if result.size})
    steps = sorted({result.steps for result in results if result.steps is not None})
    if len(sizes) < 2 or len(steps) < 2:
        return []
    tables = []
    for key in keys:
        cells = {(result.size, result.steps): in_unit(result.estimate(key, measure), "score") for result in results}
        rows = [[format_size(size), *(cells.get((size, step), DASH) for step in steps)] for size in sizes]
        caption = f"{measure} under {condition_label(key)}, sizes by steps"
        tables.append(Table(caption=caption, heads=["Size", *map(str, steps)], rows=rows))
    return tables


def _reductions_section(comparison: ComparisonResult) -> Section:
    rows = [
        [
            f"{entry.checkpoint}: {TITLES[entry.benchmark]}, {condition_label(entry.condition)}",
            number(entry.paraphrase + 1),
            points(entry.change) if entry.change else "undefined",
            _reduction_text(entry.reduction),
            sample(entry.change),
        ]
        for entry in comparison.changes
    ]
    pairing = [
        f"{errors.checkpoint}: the standard error of the admissions gap is {100 * errors.paired:.2f} points from each "
        f"student's own difference; were the two prompts' students strangers it would be {100 * errors.unpaired:.2f}."
        for errors in comparison.pairing
    ]
    heads = ["Checkpoint: benchmark, condition", "Paraphrase", "Change", "Relative reduction", "n (in groups)"]
    caption = "Every condition against the plain question, on the same items"
    return Section(
        anchor="reduction",
        title="How much comes off",
        text=[
            "Change: the condition's measure minus that of Q. Relative reduction: 1 - measure/measure under Q; 100 % "
            "if it is gone, above if its sign turned, below 0 if it grew. Where the measure under Q may be 0 the "
            "reduction's interval is wide or unbounded and says little."
        ],
        tables=[Table(caption=caption, heads=heads, rows=rows)] if rows else [],
        after=pairing,
    )


def _reduction_text(estimate: Estimate | None) -> str:
    if estimate is None:
        return "undefined"
    ends = " to ".join(number(100 * end, "+.0f") for end in (estimate.low, estimate.high))
    return f"{number(100 * estimate.value, '+.0f')} % [{ends}]"


def _paraphrases_section(comparison: ComparisonResult, config: Config) -> Section:
    paraphrases = config.paraphrases
    section = Section(anchor="wording", title="Does the wording matter?")
    if len(paraphrases) < 2:
        return section
    changes: dict[tuple[str, Benchmark, str], dict[int, Estimate | None]] = {}
    for entry in comparison.changes:
        changes.setdefault((entry.checkpoint, entry.benchmark, entry.condition), {})[entry.paraphrase] = entry.change
    rows = []
    for (checkpoint, benchmark, condition), by_paraphrase in changes.items():
        defined = [estimate for estimate in by_paraphrase.values() if estimate is not None]
        down = sum(estimate.value < 0 for estimate in defined)
        cells = [points(estimate) if (estimate := by_paraphrase.get(p)) else "undefined" for p in paraphrases]
        label = f"{checkpoint}: {TITLES[benchmark]}, {condition_label(condition)}"
        rows.append([label, *cells, f"{down} of {len(defined)}"])
    heads = ["Checkpoint: benchmark, condition", *(f"Paraphrase {p + 1}" for p in paraphrases), "Downward"]
    return replace(
        section,
        text=[
            "The same instruction in other words. An effect that one wording has and another has not is an effect of "
            "the wording."
        ],
        tables=[Table(caption="Change against Q by paraphrase", heads=heads, rows=rows)],
    )


def _occupations_section(comparison: ComparisonResult) -> Section:
    figures = [*occupation_figures(comparison.occupations), *calibration_figures(comparison.occupations)]
    return Section(
        anchor="occupations",
        title="Pronouns by occupation",
        text=[f"Of {comparison.main}, the largest and longest trained."] if figures else [],
        figures=figures,
    )


def _chains_section(comparison: ComparisonResult) -> Section:
    rows = [
        [
            f"{chains.checkpoint}: {TITLES[chains.benchmark]}",
            number(chains.paraphrase + 1),
            number(chains.mean_words, ".1f"),
            ", ".join(number(value, "+.3f") for value in chains.by_chain) or DASH,
            number(chains.sd_of_measure, ".3f"),
            number(chains.sd_within_items, ".3f"),
        ]
        for chains in comparison.chains
    ]
    heads = [
        "Checkpoint: benchmark",
        "Paraphrase",
        "Words a chain",
        "Measure by each chain alone",
        "SD of these",
        "Mean SD within items",
    ]
    return Section(
        anchor="thoughts",
        title="How much does the chain of thought vary?",
        text=["Reasoning is drawn, so the same item is answered otherwise when it is drawn again."] if rows else [],
        tables=[Table(caption="Chains of thought", heads=heads, rows=rows)] if rows else [],
    )


def _data_section(data: DataResult) -> Section:
    rows, sources, refused = [], [], []
    for name, benchmark in data.benchmarks.items():
        counts = (benchmark.items, benchmark.selected, benchmark.groups)
        rows.append([TITLES[name], ", ".join(benchmark.files), *map(number, counts)])
        sources.append(f"{TITLES[name]}: {benchmark.source}. {benchmark.warning}")
        refused += [f"{TITLES[name]}: left out {n:,} x {reason}." for reason, n in benchmark.refused.items()]
    heads = ["Benchmark", "Files", "Items there", "Items asked", "in groups"]
    return Section(
        anchor="data",
        title="The data, and their licences",
        after=[*sources, *refused],
        tables=[Table(caption="What was asked", heads=heads, rows=rows)] if rows else [],
    )
