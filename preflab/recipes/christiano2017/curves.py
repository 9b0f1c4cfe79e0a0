"""The metrics of one run, a line a round, as curves over equal parts of its steps and a few numbers."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from preflab.control.rewards.labels import RESPONSES
from preflab.maths.statistics import Estimate, mean_with_interval
from preflab.recipes.christiano2017.experiment_config import Experiment
from preflab.recipes.christiano2017.results import ArmResult

Line = Mapping[str, Any]
"""A line of ``metrics.jsonl``: name -> number."""
Curve = tuple[float | None, ...]


def arm_result(
    config: Experiment,
    lines: Sequence[Line],
    *,
    episodes: Sequence[tuple[float, float]],
    disagreement_at_end: float | None = None,
    target_std: float | None = None,
) -> ArmResult:
    """The result of one arm from one seed, from the lines that its loop logged; see `ArmResult`."""
    last = lines[-1]
    second_half = [line for line in lines if line["step"] > config.loop.steps / 2]
    queries = [line for line in lines if line.get("disputed_asked") is not None]
    return ArmResult(
        curve=_over_parts(config, lines, "true_return", "episodes"),
        learned_curve=_over_parts(config, lines, "handed_return", "episodes"),
        scores=_over_parts(config, lines, "score", "games"),
        steps=last["step"],
        labels={response: last[response] for response in RESPONSES if response in last},
        rank_correlation=_latest(lines, "rank_correlation"),
        disagreement_asked=_weighted_mean(queries, "disputed_asked", "asked_now"),
        disagreement_candidates=_weighted_mean(queries, "disputed_candidates", "asked_now"),
        held_out_accuracy=_latest(lines, "held_out_accuracy"),
        mean_reward=_mean(second_half, "mean_reward"),
        std_reward=_mean(second_half, "std_reward"),
        episodes=tuple(episodes),
        disagreement_at_end=disagreement_at_end,
        target_std=target_std,
    )


def _over_parts(config: Experiment, lines: Sequence[Line], key: str, count: str) -> Curve:
    """Means of a number over equal parts of the steps, each line counted as often as it says; None where none is."""
    ends = np.linspace(0, config.loop.steps, config.points + 1)
    counted = [line for line in lines if line.get(count)]
    means: list[float | None] = []
    for low, high in pairwise(ends):
        part = [line for line in counted if low < line["step"] <= high or high == ends[-1] < line["step"]]
        means.append(_weighted_mean(part, key, count))
    return tuple(means)


def _weighted_mean(lines: Sequence[Line], key: str, count: str) -> float | None:
    n = sum(line[count] for line in lines)
    return sum(line[count] * line[key] for line in lines) / n if n else None


def _mean(lines: Sequence[Line], key: str) -> float | None:
    return float(np.mean([line[key] for line in lines])) if lines else None


def _latest(lines: Sequence[Line], key: str) -> float | None:
    return next((line[key] for line in reversed(lines) if line.get(key) is not None), None)


def final_return(curve: Curve) -> float:
    """The last part of the run in which an episode ended."""
    return next(mean for mean in reversed(curve) if mean is not None)


def mean_curve(curves: Sequence[Curve]) -> tuple[Estimate | None, ...]:
    """Mean over seeds at each part of the run; None where a seed has no episode that ended."""
    means: list[Estimate | None] = []
    for seeds in zip(*curves, strict=True):
        returns = [seed for seed in seeds if seed is not None]
        means.append(mean_with_interval(np.array(returns)) if len(returns) == len(seeds) else None)
    return tuple(means)
