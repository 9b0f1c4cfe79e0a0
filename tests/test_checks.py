"""Checks of settings: every bound from both sides, what is no number, and settings that another makes dead."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.checks import (
    check_above,
    check_at_least,
    check_within,
    refuse_changes_unread,
    refuse_unread,
)
from preflab.config_overrides import check_types
from preflab.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rank: int = 4
    alpha: float = 8.0


@dataclass(frozen=True)
class Settings:
    number: float | None = 0.5
    count: int = 1
    loss: Literal["pairs", "rankings"] = "pairs"
    inner: Inner = field(default_factory=Inner)

    def unread(self) -> dict[str, str]:
        return {"inner": "loss=rankings"} if self.loss == "rankings" else {}


NUMBERS = st.floats(-3, 3) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0])


def refuses(check: object, *arguments: object) -> bool:
    try:
        check(*arguments)  # type: ignore[operator]
    except ConfigError as error:
        assert str(error).startswith("number must be ") and ", got " in str(error)
        return True
    return False


@given(NUMBERS)
def test_every_check_of_a_range_refuses_all_outside_it(number: float) -> None:
    settings = Settings(number=number)
    finite = math.isfinite(number)
    assert refuses(check_at_least, settings, 1, "number") == (not (finite and number >= 1))
    assert refuses(check_above, settings, 1, "number") == (not (finite and number > 1))
    assert refuses(check_within, settings, "[0, 1)", "number") == (not (finite and 0 <= number < 1))
    assert refuses(check_within, settings, "(0, 1]", "number") == (not (finite and 0 < number <= 1))


def test_none_is_passed_over_and_a_message_names_setting_range_and_value() -> None:
    settings = Settings(number=None)
    check_at_least(settings, 1, "number")
    check_within(settings, "[0, 1]", "number", "count")
    with pytest.raises(ConfigError, match=r"^count must be in \(1, 2\], got 1$"):
        check_within(settings, "(1, 2]", "count")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("number", math.nan, "number must be a number or null, got nan"),
        ("number", math.inf, "number must be a number or null, got inf"),
        ("number", "0.5", "number must be a number or null, got '0.5'"),
        ("count", 1.5, "count must be a whole number, got 1.5"),
        ("count", True, "count must be a whole number, got True"),
        ("count", None, "count must be a whole number, got None"),
        ("loss", "triples", "loss must be one of pairs, rankings, got 'triples'"),
        ("inner", {"rank": 1}, "inner must be a mapping with rank, alpha, got {'rank': 1}"),
    ],
)
def test_what_is_of_another_type_is_refused(name: str, value: object, expected: str) -> None:
    settings = Settings()
    object.__setattr__(settings, name, value)
    with pytest.raises(ConfigError) as caught:
        check_types(settings)
    assert str(caught.value) == expected


def test_what_is_of_its_type_passes() -> None:
    check_types(Settings())
    check_types(Settings(number=None, count=3, loss="rankings"))


def test_a_dead_setting_is_refused_unless_it_is_at_its_default_or_off() -> None:
    refuse_unread(Settings(), "loss=rankings", "number", "inner")
    refuse_unread(Settings(number=0.0), "loss=rankings", "number", neutral=0)
    with pytest.raises(ConfigError, match=r"^number=0.7 would change nothing with loss=rankings; leave it at 0.5$"):
        refuse_unread(Settings(number=0.7), "loss=rankings", "number", neutral=0)


def test_what_a_scale_sets_is_no_change_and_the_setting_within_is_named() -> None:
    scale = Settings(inner=Inner(rank=2))
    refuse_changes_unread(scale, replace(scale, loss="rankings"))
    refuse_changes_unread(scale, replace(scale, inner=Inner(rank=3)))
    changed = replace(scale, loss="rankings", inner=Inner(rank=2, alpha=1.0))
    with pytest.raises(
        ConfigError, match=r"^inner.alpha=1.0 would change nothing with loss=rankings; leave it at 8.0$"
    ):
        refuse_changes_unread(scale, changed)
