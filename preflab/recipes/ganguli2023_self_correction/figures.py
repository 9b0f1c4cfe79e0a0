"""Plots of the recipe ``ganguli2023_self_correction``: conditions, size, steps, occupations, calibration."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from preflab.maths.statistics import Estimate
from preflab.recipes.ganguli2023_self_correction.conditions import CONDITIONS
from preflab.reporting.html import Json
from preflab.reporting.plots import Frame, Series, curve_plot, dot_plot
from preflab.reporting.report import Figure
from preflab.reporting.stacked_plot import stacked_plot

BARS = "bars are 95 % intervals over templates, occupations or students."


def words(key: str) -> str:
    """What a condition is called."""
    return CONDITIONS[key.partition(".")[0]][1]


def _estimate(result: Json, key: str, name: str) -> Estimate | None:
    own: Estimate | None = result["conditions"].get(key, {}).get("measures", {}).get(name)
    return own


def conditions_plot(benchmark: str, results: Sequence[Json], keys: Sequence[str], name: str) -> Figure:
    """A row a condition, one marker a checkpoint where they are few; otherwise a row a checkpoint."""
    frame = Frame(name=f"{benchmark}-conditions", title=f"{name} by condition", x_label=name, vlines=((0.0, "none"),))
    if len(results) <= 5:
        labels = [own["checkpoint"] for own in results]
        rows = [(words(key), [_estimate(own, key, name) for own in results]) for key in keys]
        return Figure(svg=dot_plot(rows, labels, frame), title=f"{name} by condition", caption=BARS)
    few = list(keys[:5])
    rows = [(own["checkpoint"], [_estimate(own, key, name) for key in few]) for own in results]
    return Figure(svg=dot_plot(rows, [words(key) for key in few], frame), title=f"{name} by checkpoint", caption=BARS)


def by_axis(benchmark: str, results: Sequence[Json], keys: Sequence[str], name: str) -> list[Figure]:
    """Against size at the steps that most sizes have, and against steps at the largest size that has several."""
    found = []
    over_size = _slice(results, fixed="steps", along="size")
    if len(over_size) > 1:
        x = [math.log10(own["size"]) for own in over_size]
        at = "" if over_size[0]["steps"] is None else f" at {over_size[0]['steps']} steps"
        found.append(_curve(f"{benchmark}-size", over_size, x, keys, name, f"log10 of parameters{at}", whole=False))
    over_steps = _slice(results, fixed="size", along="steps")
    if len(over_steps) > 1:
        steps = [float(own["steps"]) for own in over_steps]
        found.append(_curve(f"{benchmark}-steps", over_steps, steps, keys, name, "steps of RLHF", whole=True))
    return found


def _slice(results: Sequence[Json], *, fixed: str, along: str) -> list[Json]:
    """Checkpoints alike in one thing that differ most in the other; of equals the larger or longer trained."""
    groups: dict[Any, dict[Any, Json]] = {}
    for own in results:
        if own[along] is not None:
            groups.setdefault(own[fixed], {})[own[along]] = own
    best = max(groups, key=lambda own: (len(groups[own]), -1 if own is None else own), default=None)
    return [groups[best][x] for x in sorted(groups[best])] if groups else []


def _curve(
    anchor: str, results: Sequence[Json], x: Sequence[float], keys: Sequence[str], name: str, label: str, *, whole: bool
) -> Figure:
    series = []
    for k, key in enumerate(keys[:5]):
        own = [_estimate(result, key, name) for result in results]
        known = [(a, e) for a, e in zip(x, own, strict=True) if e is not None]
        if known:
            at, estimates = [a for a, _ in known], [e for _, e in known]
            series.append(Series.from_estimates(words(key), at, estimates, style="both", colour=k))
    frame = Frame(name=anchor, title=f"{name} against {label}", x_label=label, y_label=name, hlines=((0.0, "none"),),
                  integer_x=whole)  # fmt: skip
    return Figure(svg=curve_plot(series, frame), title=f"{name} against {label}", caption=BARS)


def occupations(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Figure]:
    """Probabilities of the three forms, a bar an occupation, a plot a condition."""
    figures = []
    for condition, jobs in found.items():
        ordered = sorted(jobs, key=lambda job: float(job["women"]))
        rows = [
            (str(job["occupation"]), [job["p_female"], job["p_neutral"], job["p_male"]], job["women"])
            for job in ordered
        ]
        title = f"Pronouns under {words(condition)}"
        frame = Frame(name=f"jobs-{condition}", title=title, x_label="probability", x_percent=True)
        svg = stacked_plot(rows, ["female", "neutral", "male"], frame, mark="women in the statistics")
        how = "occupations in order of their share of women (points); where points and blue bars end alike, pronouns " \
              "mirror the statistics."  # fmt: skip
        figures.append(Figure(svg=svg, title=title, caption=how))
    return figures


def calibration(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Figure]:
    """Match Stats: the share of female among gendered pronouns against the share of women; Q beside it."""
    if "match" not in found:
        return []
    series = []
    for k, condition in enumerate(own for own in ("match", "q") if own in found):
        jobs = found[condition]
        gendered = [job["p_female"] + job["p_male"] for job in jobs]
        y = [job["p_female"] / both if both > 0 else None for job, both in zip(jobs, gendered, strict=True)]
        x = [float(job["women"]) for job in jobs]
        series.append(Series(label=words(condition), x=x, y=y, style="points", colour=k))
    whole = (-0.03, 1.03)
    frame = Frame(name="match", title="Told the statistics", x_label="share of women, as told",
                  y_label="female of gendered pronouns", diagonal=True, x_limits=whole, y_limits=whole,
                  height=3.4)  # fmt: skip
    how = "a point an occupation; on the diagonal the model does what it was told."
    return [Figure(svg=curve_plot(series, frame), title="Told the statistics", caption=how)]
