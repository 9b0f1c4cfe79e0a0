"""Numbers and estimates as a report prints them."""

import math

from preflab.maths.statistics import Estimate

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def with_interval(estimate: Estimate | None, form: str, factor: int = 1, unit: str = "") -> str:
    """``57.1 % [50.2, 63.9]``: ``factor`` times the value in ``form``, its unit, and the interval."""
    if estimate is None:
        return "not measured"
    value, low, high = (number(factor * x, form) for x in (estimate.value, estimate.low, estimate.high))
    if math.isinf(estimate.low) and math.isinf(estimate.high):
        return f"{value}{unit} [no interval]"
    return f"{value}{unit} [{low}, {high}]"


def share(estimate: Estimate | None) -> str:
    """A share with its interval, in percent."""
    return with_interval(estimate, ".1f", 100, " %")


def points(estimate: Estimate | None) -> str:
    """A difference of shares with its interval, in percentage points."""
    return with_interval(estimate, "+.1f", 100, " points")


def nats(estimate: Estimate | None) -> str:
    """A score or a difference of scores with its interval."""
    return with_interval(estimate, "+.2f")


def elo(estimate: Estimate | None) -> str:
    """A rating, or a difference of ratings, on the Elo scale with its interval."""
    return with_interval(estimate, "+.0f")


def in_unit(estimate: Estimate | None, unit: str) -> str:
    """An estimate in the unit of a measure of an evaluation."""
    if estimate is None:
        return "undefined"
    if unit == "share":
        return share(estimate)
    return with_interval(estimate, ".1f" if unit == "words" else _signed(estimate))


def claim_number(estimate: Estimate, unit: str, threshold: float) -> str:
    """The number that a claim is judged by: a share, or a difference where its threshold is 0, or with its unit."""
    if unit in ("share", "points", ""):
        return points(estimate) if threshold == 0 else share(estimate)
    if unit in ("nats", "Elo"):
        return f"{(nats if unit == 'nats' else elo)(estimate)} {unit}"
    return f"{in_unit(estimate, unit)} {unit}"


def difference(estimate: Estimate | None, unit: str) -> str:
    """A difference of two estimates in that unit."""
    if estimate is None:
        return "undefined"
    if unit == "share":
        return points(estimate)
    return with_interval(estimate, "+.1f" if unit == "words" else _signed(estimate))


def _signed(estimate: Estimate) -> str:
    """Three decimals where all that is finite is below 10, one below 100, none above."""
    finite = (abs(x) for x in (estimate.value, estimate.low, estimate.high) if math.isfinite(x))
    largest = max(finite, default=0.0)
    return "+.3f" if largest < 10 else "+.1f" if largest < 100 else "+,.0f"


def sample(estimate: Estimate | None) -> str:
    """How many items, in how many independent groups."""
    if estimate is None:
        return DASH
    groups = "" if estimate.clusters in (None, estimate.n) else f" in {estimate.clusters:,}"
    return f"{estimate.n:,}{groups}"


def number(value: float | int | None, form: str = ",.0f") -> str:
    """A plain number; a dash where there is none, words for an end without bound, no sign before what rounds to 0."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "unbounded"
    text = format(value, form)
    return text.lstrip("+-") if not text.strip("+-0.") else text.replace("-", MINUS)


def ascii_text(text: str) -> str:
    """The same in the characters that every terminal has."""
    return text.replace(MINUS, "-").replace(DASH, "-")


def duration(seconds: float | int | None) -> str:
    """Wall time for people."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    hours, minutes = divmod(rounded // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rounded % 60} s"
