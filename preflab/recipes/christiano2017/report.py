"""Report and closing lines of `christiano2017_mujoco` and `christiano2017_atari`: arms over seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from preflab.maths.statistics import Estimate
from preflab.recipes.christiano2017.arms import NOISE, TRUE, VARIANTS, describe, is_budget
from preflab.recipes.christiano2017.experiment_config import Experiment
from preflab.recipes.christiano2017.results import (
    ArmResult,
    Comparison,
    ExperimentResults,
    UntrainedReturns,
    Video,
    read_experiment,
)
from preflab.reporting.closing_lines import Line, closing_lines
from preflab.reporting.format import in_unit, with_interval
from preflab.reporting.plots import Frame, Series, curve_plot
from preflab.reporting.report import (
    Figure,
    Picture,
    Report,
    Section,
    Table,
    picture,
    read_facts,
    write_report_page,
)
from preflab.reporting.run_files import read_results
from preflab.run import read_result

INTERVALS = "Intervals are over seeds (Student's t), differences paired by seed."
E = TypeVar("E", bound=Experiment)


@dataclass(frozen=True)
class Wording:
    """What a recipe calls things."""

    title: str
    measure: str
    """What a return is."""
    agent: str
    """Who learned, a sentence."""


def summarise(folder: Path) -> list[Line]:
    """The outcome of a run: true return of each agent, and how the claims came out."""
    lines: list[Line] = []
    untrained, comparison = (
        read_result(folder, "untrained", UntrainedReturns),
        read_result(folder, "compare", Comparison),
    )
    if untrained is not None and comparison is not None:
        lines.append(("untrained", with_interval(untrained.mean, ".2f"), "true return"))
        lines += [(arm, with_interval(mean, ".2f"), describe(arm)) for arm, mean in comparison.returns.items()]
        lines.append(("claims", ", ".join(verdict.outcome for verdict in comparison.verdicts), ""))
    return lines + closing_lines(folder, read_results(folder))


def write_experiment_report(
    folder: Path,
    recipe: str,
    kind: type[E],
    wording_of: Callable[[E], Wording],
    scales: Mapping[str, Callable[[], object]],
) -> Path:
    """Write ``report.html`` into a run folder, from whatever stages have finished.

    Args:
        kind        the recipe's config.
        wording_of  what the recipe calls things, under a run's settings.

    Raises:
        RunError: the folder is not a run of this recipe, or one of its files is damaged.
    """
    facts = read_facts(folder, recipe, {})
    config = facts.settings(kind)
    stages = _stages(config)
    facts = replace(facts, results=read_results(folder, stages))
    results, wording = read_experiment(folder, config), wording_of(config)
    if results is None:
        report = Report(title=wording.title, summary=["Not all agents are trained yet, so there is nothing to tell."])
    else:
        report = _report(folder, config, results, wording)
    return write_report_page(facts, stages, report, scales)


def _stages(config: Experiment) -> dict[str, str]:
    """The stages of a run and what each is."""
    return {
        "untrained": "untrained policies",
        **{f"{arm}-{s}": f"{describe(arm)}; seed {s}" for s in range(config.seeds) for arm in config.arms},
        "compare": "comparison",
        "film": "video",
    }


def _report(folder: Path, config: Experiment, results: ExperimentResults, wording: Wording) -> Report:
    """Lead, curves, correlation and table."""
    returns = results.comparison.returns
    outcomes = [f"{in_unit(mean, '')} with {describe(arm)}" for arm, mean in returns.items() if arm not in VARIANTS]
    start = in_unit(results.untrained.mean, "")
    summary = f"{wording.measure}, at the end of training: {'; '.join(outcomes)}; {start} untrained. {wording.agent}"
    sections = [
        _curves(config, results.comparison, wording.measure),
        _correlations(config, results),
        _arms(folder, config, results, wording.measure),
    ]
    warnings = _warnings(config, results)
    return Report(title=wording.title, summary=[summary], warnings=warnings, intervals=INTERVALS, sections=sections)


def _warnings(config: Experiment, results: ExperimentResults) -> list[tuple[str, str]]:
    """What a reader of the verdicts must know."""
    warnings = []
    for arm in (arm for arm in config.arms if is_budget(arm)):
        counts = [result.labels_given for result in results.arms[arm]]
        if min(counts) < int(arm[6:]):
            text = f"{arm}: {', '.join(map(str, counts))} labels were given; no more pairs of clips were left to ask."
            warnings.append(("Fewer labels", text))
    returns = results.comparison.returns
    if TRUE in returns and returns[TRUE].value <= results.untrained.mean.value:
        text = "The true reward taught nothing here, so that nothing can be said of coming near to it."
        warnings.append(("No learning", text))
    return warnings


def _curves(config: Experiment, comparison: Comparison, measure: str) -> Section:
    middle = config.middle
    groups = {
        "labels": ("Labels against return", [arm for arm in config.arms if arm not in VARIANTS]),
        "asking": ("Ablations: what is asked", [middle, "random", "one", "offline", "steps"]),
        "fitting": ("Ablations: how it is fitted", [middle, "weights_only", "unregularised", "target"]),
        "noise": ("Answers turned round", [middle, *NOISE]),
    }
    figures = []
    for name, (title, group) in groups.items():
        arms = [arm for arm in group if arm in config.arms]
        series = [_series(arm, comparison.steps, comparison.curves[arm], k) for k, arm in enumerate(arms)]
        frame = Frame(name=name, title=title, x_label="environment steps", y_label="true return")
        caption = f"{measure}; means over {config.seeds} seeds with 95 % intervals. The table below says what each is."
        if name == "labels" or arms != [middle]:
            figures.append(Figure(svg=curve_plot(series, frame), title=title, caption=caption))
    return Section(anchor="returns", title="Return over training", figures=figures)


def _series(label: str, steps: Sequence[float], curve: Sequence[Estimate | None], colour: int) -> Series:
    points = [(x, mean) for x, mean in zip(steps, curve, strict=True) if mean is not None]
    return Series.from_estimates(label, [x for x, _ in points], [mean for _, mean in points], colour=colour)


def _correlations(config: Experiment, results: ExperimentResults) -> Section:
    """True and learned returns of the latest episodes of the first seed, for each budget and for early labels alone."""
    figures = []
    for arm in (arm for arm in config.arms if is_budget(arm) or arm == "offline"):
        episodes = results.arms[arm][0].episodes
        x, y = [true for true, _ in episodes], [learned for _, learned in episodes]
        series = [Series(label="episodes", x=x, y=y, style="points")]
        title = f"Learned against true return, {describe(arm)}"
        frame = Frame(name=f"agree-{arm}", title=title, x_label="true return", y_label="learned return")
        caption = "a point is one of the last hundred episodes of seed 0; a reward that is right makes a rising line."
        figures.append(Figure(svg=curve_plot(series, frame), title=title, caption=caption))
    return Section(anchor="agreement", title="Does the learned reward agree with the true one?", figures=figures)


_COLUMNS: dict[str, Callable[[ArmResult], float | None]] = {
    "Held-out accuracy": lambda result: result.held_out_accuracy,
    "Rank correlation": lambda result: result.rank_correlation,
    "Variance, pairs asked": lambda result: result.disagreement_asked,
    "Variance, candidates": lambda result: result.disagreement_candidates,
    "Variance, pairs asked, at the end": lambda result: result.disagreement_at_end,
    "Deviation of learned rewards": lambda result: result.std_reward,
}


def _arms(folder: Path, config: Experiment, results: ExperimentResults, measure: str) -> Section:
    comparison, rows = results.comparison, []
    digits = _digits(comparison.by_seed)
    for arm in config.arms:
        seeds = results.arms[arm]
        counts = [result.labels_given for result in seeds]
        labels = f"{sum(counts) / len(counts):,.0f}" if any(counts) else ""
        means = [_mean([column(result) for result in seeds]) for column in _COLUMNS.values()]
        by_seed = ", ".join(f"{value:.{digits}f}" for value in comparison.by_seed[arm])
        rows.append([arm, describe(arm), in_unit(comparison.returns[arm], ""), labels, *means, by_seed])
    heads = ["Agent", "What it is", "True return", "Labels", *_COLUMNS, "by seed"]
    tables = [Table(caption=f"At the end of training. {measure}", heads=heads, rows=rows)]
    if any(score is not None for result in results.arms[config.arms[0]] for score in result.scores):
        tables.append(_scores(results.arms))
    return Section(anchor="arms", title="Every agent", tables=tables, pictures=_video(folder, results.video))


def _scores(arms: Mapping[str, Sequence[ArmResult]]) -> Table:
    """What players know: the scores of games that ended."""
    rows = []
    for arm, seeds in arms.items():
        scores = [result.scores[-1] for result in seeds]
        rows.append([arm, ", ".join("no game ended" if score is None else f"{score:.1f}" for score in scores)])
    return Table(caption="Mean score of the games that ended in the last part", heads=["Agent", "by seed"], rows=rows)


def _video(folder: Path, video: Video | None) -> list[Picture]:
    if video is None:
        return []
    caption = f"The first seed's agent before (left) and after (right), from the same start: {describe(video.arm)}."
    return picture(folder / video.video, caption)


def _digits(by_seed: Mapping[str, Sequence[float]]) -> int:
    """Enough to tell small returns apart."""
    return 0 if max((abs(value) for seeds in by_seed.values() for value in seeds), default=0.0) >= 100 else 1


def _mean(numbers: Sequence[float | None]) -> str:
    """Over the seeds that have it."""
    present = [number for number in numbers if number is not None]
    return f"{sum(present) / len(present):.3f}" if present else ""
