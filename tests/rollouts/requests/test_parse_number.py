"""Numbers of replies, by value."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.rollouts.requests.parse_number import last_number, numbers_in, same_value, stated_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("29.00", 29),
        ("$70,000", 70000),
        ("70{,}000", 70000),
        ("1 200", 1200),
        ("1,00,000", 100000),
        ("70k", 70000),
        ("70 thousand", 70000),
        ("1.5 million", 1500000),
        ("12 %", 12),
        ("\u20ac5", 5),
        ("5 m", 5),  # metres
        ("\u22125", -5),
        ("-$5", -5),
        ("1.2e3", 1200),
        ("3/4", Fraction(3, 4)),
        (".5", Fraction(1, 2)),
        ("12.", 12),
    ],
)
def test_one_number_by_value(text: str, value: Fraction | int) -> None:
    assert numbers_in(text) == [value]
    assert same_value(text, Fraction(value)) and not same_value(text, Fraction(value) + 1)


def test_several_numbers_in_order() -> None:
    assert numbers_in("3-4 of 1,2 and 2020 at 5:30\n- 7 eggs") == [3, 4, 1, 2, 2020, 5, 30, 7]
    assert last_number("6 and 7 eggs") == 7 and last_number("none") is None
    assert not same_value("12", None)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("4.15 each.\nAnswer: $29.00", 29),
        ("**Answer:** 7 boats of 3", 7),
        ("Answer: 3 + 4 = 7", 7),
        ("The answer is about 18, in total.", 18),
        ("Answer:\n12", 12),
        ("The final answer is $\\boxed{18}$.", 18),
        ("The answer is not 12 but 13.", 13),
        ("Answer: 5. No, wait. Answer: 6.", 6),
        ("The answer is 12. Check: 3 = 3.", 12),
        ("It makes 12", None),
        ("Answer: many", None),
    ],
)
def test_the_number_that_is_stated_as_the_result(reply: str, value: int | None) -> None:
    assert stated_number(reply) == value


def test_cues_are_those_that_are_given() -> None:
    assert stated_number("Clear: 7. Grade: 8", ("grade",)) == 8
    assert stated_number("Grade: 8") is None


WRITINGS = ("{n}", "{n:,}", "${n:,}.00", "{n}.0 boats", "**{n}**", "\\boxed{{{n}}}", "{n} %", "\u20ac{n:,}")


@given(st.integers(0, 10**9), st.sampled_from(WRITINGS), st.sampled_from(["Answer: {x}", "The answer is {x}."]))
def test_any_writing_of_a_number_has_its_value(n: int, writing: str, statement: str) -> None:
    reply = f"First 3 + 4 = 7, at 2.50 each.\n{statement.format(x=writing.format(n=n))}"
    assert stated_number(reply) == last_number(reply) == n
