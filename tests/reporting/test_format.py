"""Numbers as people read them."""

import math

import pytest

from preflab.maths.statistics import Estimate
from preflab.reporting.format import (
    DASH,
    ascii_text,
    claim_number,
    duration,
    elo,
    nats,
    number,
    points,
    share,
    with_interval,
)


def test_an_estimate_is_printed_with_its_interval_and_its_unit() -> None:
    estimate = Estimate(0.571, 0.502, 0.639, 48)
    assert share(estimate) == "57.1 % [50.2, 63.9]"
    assert points(estimate) == "+57.1 points [+50.2, +63.9]"
    assert nats(Estimate(0.22, -0.15, math.inf, 48)) == "+0.22 [\u22120.15, unbounded]"
    assert elo(Estimate(-534.4, -733.0, -400.0, 404)) == "\u2212534 [\u2212733, \u2212400]"
    assert with_interval(Estimate(4.2, 3.9, 4.5, 3), ".2f") == "4.20 [3.90, 4.50]"
    assert share(None) == "not measured"


def test_a_terminal_gets_characters_that_it_has() -> None:
    assert ascii_text(nats(Estimate(0.22, -0.15, math.inf, 48))) == "+0.22 [-0.15, unbounded]"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "\u2013"), (9, "9.0 s"), (59.96, "60.0 s"), (725, "12 min 5 s"), (12_000, "3 h 20 min")],
)
def test_wall_time_is_printed_for_people(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("unit", "threshold", "text"),
    [
        ("share", 0.5, "57.1 % [50.2, 63.9]"),
        ("share", 0.0, "+57.1 points [+50.2, +63.9]"),
        ("nats", 0.0, "+0.57 [+0.50, +0.64] nats"),
        ("Elo", 0.0, "+1 [+1, +1] Elo"),
        ("steps", 0.0, "+0.571 [+0.502, +0.639] steps"),
    ],
)
def test_the_number_of_a_claim_has_its_unit(unit: str, threshold: float, text: str) -> None:
    assert claim_number(Estimate(0.571, 0.502, 0.639, 48), unit, threshold) == text


def test_what_has_no_interval_and_what_is_no_number_are_words_and_dashes() -> None:
    assert share(Estimate(1.0, -math.inf, math.inf, 4)) == "100.0 % [no interval]"
    assert number(math.nan) == number(None) == DASH
    assert number(-math.inf, "+.2f") == number(math.inf) == "unbounded"
