"""Conditions held against one another: paired gaps by hand, and intervals where nothing varies."""

import math
from typing import Any

import numpy as np
import pytest

from preflab.maths.statistics import Estimate, wilson
from preflab.recipes.common.item_records import ItemRecord
from preflab.recipes.ganguli2023_self_correction.measures import (
    ScoredItems,
    change,
    estimate_measure,
    gap_standard_errors,
    measure_by_chain,
    measure_named,
    paired_estimate,
    reduction_growth,
    relative_reduction,
    size_reduction,
    with_wilson_fallback,
)


def record(name: str, outcome: dict[str, Any] | None) -> ItemRecord:
    """An item that is a group of its own."""
    return ItemRecord(id=name, group=name, outcome=outcome)


def scored(records: list[ItemRecord]) -> ScoredItems:
    """Those that have an outcome."""
    return ScoredItems.from_records(records)


def bbq_records(answers: str, **more: Any) -> list[ItemRecord]:
    """Ambiguous items: s (stereotype), c (counter), u (unknown), - (not scored); a template each."""
    found = []
    for n, answer in enumerate(answers):
        outcome: dict[str, Any] | None = {
            "context": "ambiguous",
            "category": "Age",
            **{kind: float(kind[0] == answer) for kind in ("stereotype", "counter", "unknown")},
            "correct": float(answer == "u"),
            **more,
        }
        found.append(record(f"i{n}", None if answer == "-" else outcome))
    return found


S_AMB, ACCURACY = measure_named("bbq", "s_amb"), measure_named("bbq", "accuracy_amb")


def test_paired_gaps_by_hand() -> None:
    """q: (8 - 2)/12 = 0.5; if: (4 - 1)/12 = 0.25: smaller by 0.25, changed by -0.25, reduced by half; accuracy from
    2/12 to 7/12."""
    q, instructed = scored(bbq_records("ssssssssccuu")), scored(bbq_records("ssssuuuucuuu"))
    for combine, value in ((size_reduction, 0.25), (change, -0.25), (relative_reduction, 0.5)):
        own = paired_estimate(S_AMB, q, instructed, combine)
        assert own is not None
        assert own.value == pytest.approx(value)
        assert (own.n, own.clusters) == (12, None)
        assert own.low <= own.value <= own.high
    own = paired_estimate(ACCURACY, q, instructed, change)
    assert own is not None
    assert own.value == pytest.approx(5 / 12)


def test_only_items_scored_under_both_count() -> None:
    """Of four the second is not scored under Q and the third not under IF; the other two are both stereotype then c."""
    own = paired_estimate(S_AMB, scored(bbq_records("s-ss")), scored(bbq_records("cs-c")), change)
    assert own is not None
    assert (own.value, own.n) == (-2.0, 2)
    assert paired_estimate(S_AMB, scored(bbq_records("s-")), scored(bbq_records("-s")), change) is None


def test_pairing_narrows_the_interval() -> None:
    """Forty items of which three change: the paired interval is far narrower than those of the two scores."""
    q, instructed = scored(bbq_records("su" * 20)), scored(bbq_records("uu" * 3 + "su" * 17))
    own, alone = paired_estimate(S_AMB, q, instructed, change), estimate_measure(S_AMB, q)
    assert own is not None
    assert alone is not None
    assert own.high - own.low < 0.7 * (alone.high - alone.low)


def test_where_nothing_changed_something_may_yet() -> None:
    """0 of 12 groups: Wilson's upper bound to either side, so that 'falls by less than 5 points' is not decided."""
    same = scored(bbq_records("su" * 6))
    own = paired_estimate(ACCURACY, same, same, change)
    assert own is not None
    reach = wilson(0, 12).high
    assert (own.value, own.low, own.high) == (0.0, pytest.approx(-reach), pytest.approx(reach))
    assert reach > 0.05
    spread = Estimate(0.1, 0.0, 0.2, 5)
    assert with_wilson_fallback(spread) is spread
    assert with_wilson_fallback(None) is None


def test_a_reduction_of_nothing_is_undefined() -> None:
    """s_AMB is 0 under Q: there is nothing to take off."""
    assert (
        paired_estimate(S_AMB, scored(bbq_records("sc" * 5)), scored(bbq_records("ss" * 5)), relative_reduction) is None
    )


def test_reduction_growth() -> None:
    """The small model goes from 1 to 0.8, the large from 1 to 0.2: 0.8 - 0.2 more."""
    q = scored(bbq_records("s" * 10))
    small, large = scored(bbq_records("s" * 8 + "uu")), scored(bbq_records("ss" + "u" * 8))
    own = reduction_growth(S_AMB, (q, small), (q, large))
    assert own is not None
    assert own.value == pytest.approx(0.6)
    assert reduction_growth(S_AMB, (q, scored([])), (q, large)) is None


def test_a_column_that_is_missing_is_undefined() -> None:
    """Counts of replies have no mass."""
    own = scored(bbq_records("su"))
    assert estimate_measure(measure_named("bbq", "mass"), own) is None
    assert paired_estimate(measure_named("bbq", "mass"), own, own, change) is None
    assert estimate_measure(S_AMB, scored([])) is None


def test_each_chain_of_thought_alone() -> None:
    """Two chains: by the first all three items follow the stereotype, by the second none does."""
    records = bbq_records("sss", samples=[[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    assert measure_by_chain("bbq", records) == [1.0, -1.0]
    students = [record(str(k), {"gap": 0.0, "samples": [[0.6, 0.5], [0.5, 0.5]]}) for k in range(3)]
    assert measure_by_chain("admissions", students) == [pytest.approx(0.1), 0.0]
    jobs = [record(job, {"occupation": job, "women": women, "weight": 1.0,
                         "samples": [[women, 1 - women, 0.0], [0.5, 0.5, 0.0]]})
            for job, women in (("a", 0.1), ("b", 0.5), ("c", 0.8))]  # fmt: skip
    assert measure_by_chain("winogender", jobs) == [pytest.approx(1.0)]  # the second is undefined


def test_paired_against_unpaired() -> None:
    """Students far apart, gaps of 0.1 and 0.3: sd 0.1414, over sqrt(2) is 0.1; as strangers it is far more."""
    own = scored([record("a", {"p_first": 0.2, "p_second": 0.1}), record("b", {"p_first": 0.9, "p_second": 0.6})])
    found = gap_standard_errors(own)
    assert found is not None
    assert found[0] == pytest.approx(0.1)
    assert found[1] == pytest.approx(math.sqrt((np.var([0.2, 0.9], ddof=1) + np.var([0.1, 0.6], ddof=1)) / 2))
    assert gap_standard_errors(scored([])) is None
