"""Plots of the recipe ``ganguli2023_self_correction``: conditions, size, steps, occupations, calibration."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from preflab.recipes.ganguli2023_self_correction.conditions import CONDITIONS
from preflab.recipes.ganguli2023_self_correction.results import CheckpointResult, OccupationPronouns
from preflab.reporting.plots import UNIT_LIMITS, Frame, Series, curve_plot, dot_plot
from preflab.reporting.report import Figure
from preflab.reporting.stacked_plot import stacked_plot

CAPTION = "bars are 95 % intervals over templates, occupations or students."
MAX_SERIES = 5
"""Series of a plot that can be told apart."""


def condition_label(key: str) -> str:
    """What reports call a condition; a paraphrase in the key does not count."""
    return CONDITIONS[key.partition(".")[0]].label


def conditions_figure(benchmark: str, results: Sequence[CheckpointResult], keys: Sequence[str], measure: str) -> Figure:
    """A row a condition, one marker a checkpoint where they are few; otherwise a row a checkpoint."""
    frame = Frame(
        name=f"{benchmark}-conditions", title=f"{measure} by condition", x_label=measure, vlines=((0.0, "none"),)
    )
    if len(results) <= MAX_SERIES:
        checkpoints = [result.checkpoint for result in results]
        rows = [(condition_label(key), [result.estimate(key, measure) for result in results]) for key in keys]
        return Figure(svg=dot_plot(rows, checkpoints, frame), title=f"{measure} by condition", caption=CAPTION)
    plotted = list(keys[:MAX_SERIES])
    rows = [(result.checkpoint, [result.estimate(key, measure) for key in plotted]) for result in results]
    labels = [condition_label(key) for key in plotted]
    return Figure(svg=dot_plot(rows, labels, frame), title=f"{measure} by checkpoint", caption=CAPTION)


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of a curve: checkpoints in order."""

    name: str
    label: str
    results: Sequence[CheckpointResult]
    x: Sequence[float]
    integer: bool
    """Whether only whole numbers are marked."""


def axis_figures(
    benchmark: str, results: Sequence[CheckpointResult], keys: Sequence[str], measure: str
) -> list[Figure]:
    """Against size at the steps that most sizes have, and against steps at the largest size that has several."""
    axes = [_size_axis(results), _steps_axis(results)]
    return [_curve(benchmark, axis, keys, measure) for axis in axes if len(axis.results) > 1]


def _size_axis(results: Sequence[CheckpointResult]) -> Axis:
    sized = [result for result in results if result.size is not None]
    by_size = _largest_slice(sized, fixed=lambda result: result.steps, along=lambda result: result.size or 0.0)
    results = list(by_size.values())
    at_steps = f" at {results[0].steps} steps" if results and results[0].steps is not None else ""
    return Axis(
        "size", f"log10 of parameters{at_steps}", results, [math.log10(size) for size in by_size], integer=False
    )


def _steps_axis(results: Sequence[CheckpointResult]) -> Axis:
    trained = [result for result in results if result.steps is not None]
    by_steps = _largest_slice(trained, fixed=lambda result: result.size, along=lambda result: float(result.steps or 0))
    return Axis("steps", "steps of RLHF", list(by_steps.values()), list(by_steps), integer=True)


def _largest_slice(
    results: Sequence[CheckpointResult],
    *,
    fixed: Callable[[CheckpointResult], float | None],
    along: Callable[[CheckpointResult], float],
) -> dict[float, CheckpointResult]:
    """Checkpoints alike in one thing that differ most in the other, by the other.

    Of equal slices that of the larger or longer trained.
    """
    slices: dict[float | None, dict[float, CheckpointResult]] = {}
    for result in results:
        slices.setdefault(fixed(result), {})[along(result)] = result
    best = max(slices, key=lambda value: (len(slices[value]), -1 if value is None else value), default=None)
    return {x: slices[best][x] for x in sorted(slices[best])} if slices else {}


def _curve(benchmark: str, axis: Axis, keys: Sequence[str], measure: str) -> Figure:
    series = []
    for k, key in enumerate(keys[:MAX_SERIES]):
        points = [
            (x, estimate)
            for x, result in zip(axis.x, axis.results, strict=True)
            if (estimate := result.estimate(key, measure)) is not None
        ]
        if points:
            xs, estimates = zip(*points, strict=True)
            series.append(Series.from_estimates(condition_label(key), xs, estimates, style="both", colour=k))
    title = f"{measure} against {axis.label}"
    frame = Frame(
        name=f"{benchmark}-{axis.name}",
        title=title,
        x_label=axis.label,
        y_label=measure,
        hlines=((0.0, "none"),),
        integer_x=axis.integer,
    )
    return Figure(svg=curve_plot(series, frame), title=title, caption=CAPTION)


def occupation_figures(occupations: Mapping[str, Sequence[OccupationPronouns]]) -> list[Figure]:
    """Probabilities of the three forms, a bar an occupation, a plot a condition."""
    caption = (
        "occupations in order of their share of women (points); where points and blue bars end alike, pronouns "
        "mirror the statistics."
    )
    figures = []
    for condition, jobs in occupations.items():
        rows = [
            (job.occupation, [job.p_female, job.p_neutral, job.p_male], job.women)
            for job in sorted(jobs, key=lambda job: job.women)
        ]
        title = f"Pronouns under {condition_label(condition)}"
        frame = Frame(name=f"jobs-{condition}", title=title, x_label="probability", x_percent=True)
        svg = stacked_plot(rows, ["female", "neutral", "male"], frame, mark="women in the statistics")
        figures.append(Figure(svg=svg, title=title, caption=caption))
    return figures


def calibration_figures(occupations: Mapping[str, Sequence[OccupationPronouns]]) -> list[Figure]:
    """Match Stats: the share of female among gendered pronouns against the share of women; Q beside it."""
    if "match" not in occupations:
        return []
    series = []
    for k, condition in enumerate(name for name in ("match", "q") if name in occupations):
        jobs = occupations[condition]
        y = [_female_share(job) for job in jobs]
        x = [job.women for job in jobs]
        series.append(Series(label=condition_label(condition), x=x, y=y, style="points", colour=k))
    title = "Told the statistics"
    frame = Frame(
        name="match",
        title=title,
        x_label="share of women, as told",
        y_label="female of gendered pronouns",
        diagonal=True,
        x_limits=UNIT_LIMITS,
        y_limits=UNIT_LIMITS,
        height=3.4,
    )
    caption = "a point an occupation; on the diagonal the model does what it was told."
    return [Figure(svg=curve_plot(series, frame), title=title, caption=caption)]


def _female_share(job: OccupationPronouns) -> float | None:
    """Of the gendered pronouns; None where there are none."""
    gendered = job.p_female + job.p_male
    return job.p_female / gendered if gendered > 0 else None
