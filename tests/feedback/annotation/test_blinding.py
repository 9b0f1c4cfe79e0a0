"""The order on the screen: recomputable, unguessable, fair."""

from collections import Counter

from preflab.feedback.annotation.blinding import draw_among, order_shown

KEY = b"k" * 32


def test_the_same_place_gets_the_same_order_and_another_key_another_one() -> None:
    orders = [order_shown(KEY, 4, "study", item, "p-1", 0) for item in range(50)]
    assert orders == [order_shown(KEY, 4, "study", item, "p-1", 0) for item in range(50)]
    assert orders != [order_shown(b"x" * 32, 4, "study", item, "p-1", 0) for item in range(50)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)


def test_each_side_comes_first_about_equally_often() -> None:
    first = Counter(order_shown(KEY, 2, "study", item, "p-1", 0)[0] for item in range(2000))
    assert abs(first[0] - 1000) < 4 * 22.4  # four standard deviations: sqrt(2000 / 4) = 22.4


def test_parts_do_not_run_together() -> None:
    """("ab", "c") and ("a", "bc") are different places."""
    assert {order_shown(KEY, 6, "ab", "c"), order_shown(KEY, 6, "a", "bc")} != {order_shown(KEY, 6, "ab", "c")}


def test_drawn_takes_each_once_before_any_twice() -> None:
    assert sorted(draw_among(KEY, ["a", "b", "c"], 3, 1)) == ["a", "b", "c"]
    assert draw_among(KEY, ["a"], 2, 1) == ["a", "a"]
    pairs = Counter(tuple(draw_among(KEY, ["a", "b", "c"], 2, n)) for n in range(3000))
    assert len(pairs) == 6 and all(abs(n - 500) < 4 * 20.4 for n in pairs.values())  # sqrt(3000 * 1/6 * 5/6) = 20.4
