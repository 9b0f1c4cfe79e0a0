"""Which comparisons to ask for and when: disagreement of an ensemble, and how many labels are due by a step.

Christiano et al. 2017, sec. 2.2.4 and appendix A. Pure functions.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from preflab.errors import ConfigError

Disagreement: TypeAlias = Literal["probability", "label", "logit"]
Schedule: TypeAlias = Literal["hyperbolic", "stepwise", "exponential", "constant", "custom"]


def disagreement(
    gaps: Float[np.ndarray, "member pair"], mode: Disagreement = "probability"
) -> Float[np.ndarray, " pair"]:
    """How much the members of an ensemble disagree on which clip is better: a variance over members.

    The paper does not say what the variance is over; all three readings are here.

    Args:
        gaps  [member pair]  predicted return of the first clip minus the second's, raw.
        mode  ``probability``: of sigmoid(gap). ``label``: of the hard votes, ``q (1 - q)`` with the share q that
              votes for the first (gap > 0). ``logit``: of the gaps themselves.

    Returns:
        variance  [pair]  population variance, at least 0; all 0 for one member.
    """
    gaps = np.asarray(gaps, dtype=np.float64)
    if mode == "label":
        share = (gaps > 0).mean(axis=0)
        return np.asarray(share * (1 - share))
    if mode == "probability":
        return np.asarray((0.5 * (1 + np.tanh(gaps / 2))).var(axis=0))
    if mode == "logit":
        return np.asarray(gaps.var(axis=0))
    raise ConfigError(f"unknown disagreement {mode!r}; known are probability, label and logit")


def most_disputed(gaps: Float[np.ndarray, "member pair"], n: int, mode: Disagreement = "probability") -> np.ndarray:
    """Numbers of the ``n`` pairs on which members disagree most, the most disputed first; of equals the first."""
    return np.argsort(-disagreement(gaps, mode), kind="stable")[:n]


def labels_due(
    step: int,
    *,
    total: int,
    initial: int,
    end: int,
    schedule: Schedule = "hyperbolic",
    half_life: float = 2e6,
    points: Sequence[tuple[float, float]] = (),
) -> int:
    """How many labels should have been asked for by a step, the initial ones included.

    ``hyperbolic``: the rate falls as ``tau / (T + tau)``, so ``N(T) = N_0 + (N - N_0) ln(1 + T/tau) / ln(1 + E/tau)``
    with the end E (sec. 2.2.4 and appendix A: tau = 2e6 steps on MuJoCo, 5e6 frames on Atari). ``stepwise``: the same
    rate, held for tau at a time (Atari). ``exponential``: ``1 - 0.01^(T/E)`` of the rest, scaled to end at all of it.
    ``constant``: in proportion to T. ``custom``: straight lines through ``points``.

    Args:
        step       environment steps (or frames, in the same unit as ``end`` and ``half_life``) so far.
        total      labels of the whole run.
        initial    labels from the untrained policy, asked before step 0.
        end        steps of the whole run.
        half_life  tau: after so many steps the rate is half of the first.
        points     share of the steps and share of the labels after the initial ones, both rising in [0, 1]; (0, 0) and
                   (1, 1) need not be named.

    Returns:
        labels     between ``initial`` and ``total``; exactly ``total`` at the end and after it.

    Raises:
        ConfigError: ``initial`` is not in [0, total], ``end`` or ``half_life`` is not above 0, or points do not rise.
    """
    if not 0 <= initial <= total or end <= 0 or half_life <= 0:
        raise ConfigError(
            f"expected 0 <= initial <= total, end > 0 and half_life > 0, got {initial=} {total=} {end=} {half_life=}"
        )
    if schedule == "custom":
        check_points(points)
    if step >= end:
        return total
    if step <= 0:
        return initial
    share = _share(step, end, schedule, half_life, points)
    return initial + math.floor((total - initial) * share + 1e-9)


def check_points(points: Sequence[tuple[float, float]]) -> None:
    """Whether they are a schedule.

    Raises:
        ConfigError: there are none, or they do not rise within [0, 1].
    """
    line = [(0.0, 0.0), *points, (1.0, 1.0)]
    if not points or any(b[0] < a[0] or b[1] < a[1] for a, b in pairwise(line)):
        raise ConfigError(
            f"a custom schedule is points [share of the steps, share of the labels] that rise from 0 to 1, got {points}"
        )


def _share(step: int, end: int, schedule: Schedule, half_life: float, points: Sequence[tuple[float, float]]) -> float:
    """Share of the labels after the initial ones that are due."""
    if schedule == "custom":
        steps, labels = zip((0.0, 0.0), *points, (1.0, 1.0), strict=True)
        return float(np.interp(step / end, steps, labels))
    if schedule == "hyperbolic":
        return math.log1p(step / half_life) / math.log1p(end / half_life)
    if schedule == "exponential":
        return (1 - math.pow(0.01, step / end)) / (1 - 0.01)
    if schedule == "constant":
        return step / end
    if schedule == "stepwise":
        return _stepwise(step, half_life) / _stepwise(end, half_life)
    raise ConfigError(f"unknown schedule {schedule!r}; known are hyperbolic, stepwise, exponential, constant, custom")


def _stepwise(step: int, tau: float) -> float:
    """Integral of the rate ``1 / (1 + floor(T / tau))`` up to a step, in units of tau."""
    full_steps = int(step // tau)
    return sum(1 / (k + 1) for k in range(full_steps)) + (step / tau - full_steps) / (full_steps + 1)
