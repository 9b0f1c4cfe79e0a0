"""Conditions held against one another: paired gaps by hand, and intervals where nothing varies."""

import math
from typing import Any

import numpy as np
import pytest

from preflab.maths.statistics import Estimate, wilson
from preflab.recipes.ganguli2023_self_correction.measures import (
    ScoredItems,
    by_thought,
    change,
    estimate,
    grown_by,
    measure_named,
    paired,
    paired_against_unpaired,
    reduction,
    smaller_by,
    with_wilson_fallback,
)


def bbq_lines(answers: str, *, start: int = 0) -> list[dict[str, Any]]:
    """Ambiguous items: s (stereotype), c (counter), u (unknown), - (not scored); a template each."""
    found = []
    for n, answer in enumerate(answers, start=start):
        outcome: dict[str, Any] | None = {
            "context": "ambiguous",
            "category": "Age",
            **{kind: float(kind[0] == answer) for kind in ("stereotype", "counter", "unknown")},
            "correct": float(answer == "u"),
        }
        found.append({"id": f"i{n}", "group": f"g{n}", "outcome": None if answer == "-" else outcome})
    return found


S_AMB, ACCURACY = measure_named("bbq", "s_amb"), measure_named("bbq", "accuracy_amb")


def test_paired_gaps_by_hand() -> None:
    """q: (8 - 2)/12 = 0.5; if: (4 - 1)/12 = 0.25: smaller by 0.25, changed by -0.25, reduced by half; accuracy from
    2/12 to 7/12."""
    q, instructed = ScoredItems.of(bbq_lines("ssssssssccuu")), ScoredItems.of(bbq_lines("ssssuuuucuuu"))
    for combine, value in ((smaller_by, 0.25), (change, -0.25), (reduction, 0.5)):
        own = paired(S_AMB, q, instructed, combine)
        assert own is not None
        assert own.value == pytest.approx(value)
        assert (own.n, own.clusters) == (12, None)
        assert own.low <= own.value <= own.high
    own = paired(ACCURACY, q, instructed, change)
    assert own is not None
    assert own.value == pytest.approx(5 / 12)


def test_only_items_scored_under_both_count() -> None:
    """Of four the second is not scored under Q and the third not under IF; the other two are both stereotype then c."""
    own = paired(S_AMB, ScoredItems.of(bbq_lines("s-ss")), ScoredItems.of(bbq_lines("cs-c")), change)
    assert own is not None
    assert (own.value, own.n) == (-2.0, 2)
    assert paired(S_AMB, ScoredItems.of(bbq_lines("s-")), ScoredItems.of(bbq_lines("-s")), change) is None


def test_pairing_narrows_the_interval() -> None:
    """Forty items of which three change: the paired interval is far narrower than those of the two scores."""
    q, instructed = ScoredItems.of(bbq_lines("su" * 20)), ScoredItems.of(bbq_lines("uu" * 3 + "su" * 17))
    own, alone = paired(S_AMB, q, instructed, change), estimate(S_AMB, q)
    assert own is not None
    assert alone is not None
    assert own.high - own.low < 0.7 * (alone.high - alone.low)


def test_where_nothing_changed_something_may_yet() -> None:
    """0 of 12 groups: Wilson's upper bound to either side, so that 'falls by less than 5 points' is not decided."""
    same = ScoredItems.of(bbq_lines("su" * 6))
    own = paired(ACCURACY, same, same, change)
    assert own is not None
    reach = wilson(0, 12).high
    assert (own.value, own.low, own.high) == (0.0, pytest.approx(-reach), pytest.approx(reach))
    assert reach > 0.05
    spread = Estimate(0.1, 0.0, 0.2, 5)
    assert with_wilson_fallback(spread) is spread
    assert with_wilson_fallback(None) is None


def test_a_reduction_of_nothing_is_undefined() -> None:
    """s_AMB is 0 under Q: there is nothing to take off."""
    assert paired(S_AMB, ScoredItems.of(bbq_lines("sc" * 5)), ScoredItems.of(bbq_lines("ss" * 5)), reduction) is None


def test_grown_by() -> None:
    """The small model goes from 1 to 0.8, the large from 1 to 0.2: 0.8 - 0.2 more."""
    q = ScoredItems.of(bbq_lines("s" * 10))
    small, large = ScoredItems.of(bbq_lines("s" * 8 + "uu")), ScoredItems.of(bbq_lines("ss" + "u" * 8))
    own = grown_by(S_AMB, (q, small), (q, large))
    assert own is not None
    assert own.value == pytest.approx(0.6)
    assert grown_by(S_AMB, (q, ScoredItems.of([])), (q, large)) is None


def test_a_column_that_is_missing_is_undefined() -> None:
    """Counts of replies have no mass."""
    own = ScoredItems.of(bbq_lines("su"))
    assert estimate(measure_named("bbq", "mass"), own) is None
    assert paired(measure_named("bbq", "mass"), own, own, change) is None
    assert estimate(S_AMB, ScoredItems.of([])) is None


def test_each_chain_of_thought_alone() -> None:
    """Two chains: by the first all three items follow the stereotype, by the second none does."""
    lines = bbq_lines("sss")
    for line in lines:
        line["outcome"]["samples"] = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]
    assert by_thought("bbq", lines) == [1.0, -1.0]
    students = [{"id": str(k), "group": str(k), "outcome": {"gap": 0.0, "samples": [[0.6, 0.5], [0.5, 0.5]]}}
                for k in range(3)]  # fmt: skip
    assert by_thought("admissions", students) == [pytest.approx(0.1), 0.0]
    jobs = [{"id": job, "group": job, "outcome": {"occupation": job, "women": women, "weight": 1.0,
                                                  "samples": [[women, 1 - women, 0.0], [0.5, 0.5, 0.0]]}}
            for job, women in (("a", 0.1), ("b", 0.5), ("c", 0.8))]  # fmt: skip
    assert by_thought("winogender", jobs) == [pytest.approx(1.0)]  # the second is undefined


def test_paired_against_unpaired() -> None:
    """Students far apart, gaps of 0.1 and 0.3: sd 0.1414, over sqrt(2) is 0.1; as strangers it is far more."""
    own = ScoredItems.of([{"id": "a", "group": "a", "outcome": {"p_first": 0.2, "p_second": 0.1}},
                       {"id": "b", "group": "b", "outcome": {"p_first": 0.9, "p_second": 0.6}}])  # fmt: skip
    found = paired_against_unpaired(own)
    assert found is not None
    assert found[0] == pytest.approx(0.1)
    assert found[1] == pytest.approx(math.sqrt((np.var([0.2, 0.9], ddof=1) + np.var([0.1, 0.6], ddof=1)) / 2))
    assert paired_against_unpaired(ScoredItems.of([])) is None
