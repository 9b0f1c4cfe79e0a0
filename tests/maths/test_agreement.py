"""Agreement against the textbook, against the definition done the long way, and against two other libraries."""

import math
from itertools import permutations

import evalica
import numpy as np
import pandas as pd
import pytest
from jaxtyping import TypeCheckError

from preflab.errors import ConfigError, DataError
from preflab.maths.agreement import (
    SCALES,
    Resampling,
    Scale,
    krippendorff_alpha,
    raw_agreement,
)

NAN = math.nan
TEXTBOOK = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)
"""Krippendorff 2011, section C: four observers, twelve units."""
FEW = Resampling(draws=200)


def long(table: np.ndarray) -> tuple[list[int], list[float]]:
    """Items and values of a table of raters by items."""
    items = np.broadcast_to(np.arange(table.shape[1]), table.shape)
    return items.ravel().tolist(), table.ravel().tolist()


def by_definition(table: np.ndarray, scale: Scale) -> float:
    """Alpha from two loops over pairs of values: mean distance within items over mean distance between any two."""
    columns = [[v for v in column if not math.isnan(v)] for column in table.T]
    columns = [column for column in columns if len(column) > 1]
    everything = sorted(v for column in columns for v in column)
    count = {v: everything.count(v) for v in everything}

    def distance(c: float, k: float) -> float:
        low, high = min(c, k), max(c, k)
        between = sum(count[v] for v in count if low <= v <= high) - (count[c] + count[k]) / 2
        return {
            "nominal": float(c != k),
            "ordinal": between**2 if c != k else 0.0,
            "interval": (c - k) ** 2,
            "ratio": ((c - k) / (c + k)) ** 2 if c + k else 0.0,
        }[scale]

    n = len(everything)
    within = sum(sum(distance(c, k) for c, k in permutations(v, 2)) / (len(v) - 1) for v in columns) / n
    between = sum(distance(c, k) for c, k in permutations(everything, 2)) / (n * (n - 1))
    return 1 - within / between


def random_table(seed: int) -> np.ndarray:
    """Values 0 to 4 that lean towards a truth of each item, a third missing."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, size=30)
    table = np.clip(truth + rng.integers(-1, 2, size=(5, 30)), 0, 4).astype(float)
    table[rng.random(table.shape) < 0.35] = NAN
    return table


@pytest.mark.parametrize(
    ("scale", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_the_textbook_data_give_the_textbook_alphas(scale: Scale, expected: float) -> None:
    found = krippendorff_alpha(*long(TEXTBOOK), scale, resampling=FEW)
    assert round(found.value, 3) == expected
    assert found.n == 11  # the twelfth unit has one value
    assert found.low < found.value < found.high <= 1


def test_two_raters_and_two_values_by_hand() -> None:
    # Items aa, aa, ab, bb. o_ab + o_ba = 2 of n = 8; n_a = 5, n_b = 3.
    # alpha = 1 - (n - 1) * 2 / (2 * n_a * n_b) = 1 - 7 * 2 / 30 = 16/30.
    items, values = [0, 0, 1, 1, 2, 2, 3, 3], list("aaaaabbb")
    assert krippendorff_alpha(items, values, resampling=FEW).value == pytest.approx(16 / 30)
    assert raw_agreement(items, values, resampling=FEW).value == pytest.approx(6 / 8)


def test_three_raters_count_each_pair_half() -> None:
    # One item aab: o_aa = 2/2 = 1, o_ab + o_ba = 4/2 = 2, n = 3. One item bb: o_bb = 2. n = 5, 3 of them equal.
    assert raw_agreement([0, 0, 0, 1, 1], list("aabbb"), resampling=FEW).value == pytest.approx(3 / 5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(5))
def test_alpha_follows_from_the_definition_and_agrees_with_evalica(scale: Scale, seed: int) -> None:
    table = random_table(seed)
    found = krippendorff_alpha(*long(table), scale, resampling=FEW).value
    assert found == pytest.approx(by_definition(table, scale), abs=1e-12)
    assert found == pytest.approx(evalica.alpha(pd.DataFrame(table), scale).alpha, abs=1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_neither_order_nor_who_said_it_matters(scale: Scale) -> None:
    items, values = long(random_table(3))
    order = np.random.default_rng(0).permutation(len(items))
    shuffled = krippendorff_alpha([items[k] for k in order], [values[k] for k in order], scale, resampling=FEW)
    assert shuffled.value == pytest.approx(krippendorff_alpha(items, values, scale, resampling=FEW).value)


def test_interval_alpha_ignores_shift_and_unit_and_ordinal_alpha_any_rising_map() -> None:
    items, values = long(random_table(4))
    alpha = {s: krippendorff_alpha(items, values, s, resampling=FEW).value for s in SCALES}
    far = krippendorff_alpha(items, [1e6 + 1e-3 * v for v in values], "interval", resampling=FEW).value
    assert far == pytest.approx(alpha["interval"], rel=1e-6)
    bent = krippendorff_alpha(items, [v**3 for v in values], "ordinal", resampling=FEW).value
    assert bent == pytest.approx(alpha["ordinal"])


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    # Two raters of a fair coin; the second copies the first with probability 0.6, else tosses: alpha is 0.6.
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        first = rng.integers(0, 2, 150)
        second = np.where(rng.random(150) < 0.6, first, rng.integers(0, 2, 150))
        held += not krippendorff_alpha(*long(np.stack([first, second]).astype(float)), resampling=FEW).excludes(0.6)
    assert 88 <= held <= 100  # 95 expected, standard deviation 2.2


def test_items_that_share_a_cluster_widen_the_interval() -> None:
    # Each cluster holds eight copies of one item: as much information as 20 items, not as 160.
    table = np.repeat(random_table(6)[:, :20], 8, axis=1)
    items, values = long(table)
    alone = krippendorff_alpha(items, values, "ordinal")
    together = krippendorff_alpha(items, values, "ordinal", clusters=[item // 8 for item in items])
    assert alone.value == pytest.approx(together.value) and together.clusters == 19  # one item is judged by one only
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_full_agreement_leaves_room_for_doubt() -> None:
    found = krippendorff_alpha([0, 0, 1, 1, 2, 2], list("aabbaa"))
    assert found.value == 1.0 and found.high == 1.0
    assert found.low == pytest.approx(3 / (3 + 1.959964**2), abs=1e-6)  # Wilson at 3 of 3: n / (n + z^2)
    never = raw_agreement([0, 0, 1, 1, 2, 2], list("abbaab"))
    assert never.value == never.low == 0.0 and never.high == pytest.approx(1 - found.low, abs=1e-6)


def test_one_cluster_gives_no_interval() -> None:
    found = raw_agreement([0, 0, 0], list("aab"))
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_statistic_that_most_resamples_cannot_give_has_no_bounded_interval() -> None:
    # One item of three is odd: (2/3)^3 = 30 % of resamples hold one value only, and chance agrees there too.
    found = krippendorff_alpha([0, 0, 1, 1, 2, 2], list("aaaaab"))
    assert math.isinf(found.low)
    # The same with numbers whose mean is off by rounding: 0.1 four times and 1/3 as the weight of each.
    items, values = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2], [0.1] * 11 + [0.3]
    assert math.isinf(krippendorff_alpha(items, values, "interval").low)


@pytest.mark.parametrize(
    ("items", "values", "scale", "complaint"),
    [
        ([0, 1], ["a", "b"], "nominal", "two judgements"),
        ([0, 0], ["a", "a"], "nominal", "two different values, got 'a' everywhere"),
        ([0, 0], ["a", "b"], "ordinal", "finite numbers, got 'a'"),
        ([0, 0], [1.0, math.inf], "interval", "finite numbers, got inf"),
        ([0, 0], [1.0, -1.0], "ratio", "at least 0, got -1"),
        ([0, 0], [1.0], "nominal", "1 values for 2 items"),
        ([0, 0], [1.0, None], "nominal", "two judgements"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    items: list[int], values: list[object], scale: Scale, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        krippendorff_alpha(items, values, scale)


def test_settings_out_of_range_are_refused() -> None:
    refused = (ConfigError, TypeCheckError)  # the checker of these tests comes first
    with pytest.raises(refused, match="scale"):
        krippendorff_alpha([0, 0], [1, 2], "metric")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="level"):
        Resampling(level=1.0)


def test_an_item_in_two_clusters_is_refused() -> None:
    with pytest.raises(DataError, match="'x' is in several"):
        raw_agreement(["x", "x"], [1, 2], clusters=["here", "there"])


def test_booleans_and_texts_are_values_too() -> None:
    assert krippendorff_alpha([0, 0, 1, 1], [True, True, False, False]).value == 1.0
    assert krippendorff_alpha([0, 0, 1, 1], [True, True, False, False], "ordinal").value == 1.0
