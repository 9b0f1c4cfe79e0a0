"""Plain values become dataclasses field by field, or an error names the field."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.conversion import did_you_mean, from_mapping, stored_as, to_json
from preflab.errors import ConfigError
from preflab.maths.statistics import Estimate


class Edge(NamedTuple):
    low: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Inner:
    steps: int
    rate: float = 0.5
    arms: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ConfigError(f"steps must not be negative, got {self.steps}")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    gain: Estimate | None = None
    by_arm: dict[str, Estimate] = field(default_factory=dict)
    by_step: dict[int, Inner] = field(default_factory=dict)
    inner: Inner | None = None
    parts: tuple[Inner, ...] = ()
    curve: list[tuple[int, float]] = field(default_factory=list)
    edges: tuple[Edge, ...] = ()
    outcome: Literal["yes", "no", 3] = "yes"
    folder: Path = Path("runs")
    seeds: frozenset[int] = frozenset()
    facts: Mapping[str, Any] = field(default_factory=dict)
    order: Sequence[str] = ()
    score: float | str = 0.0
    limit: float | None = None
    doubled: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "doubled", 2 * self.limit if self.limit else 0.0)


number = st.floats(allow_infinity=False, allow_nan=True)
finite = st.floats(allow_infinity=False, allow_nan=False)
names = st.text(max_size=5)
inners = st.builds(Inner, steps=st.integers(0), rate=number, arms=st.tuples(number, number))
estimates = st.builds(
    Estimate,
    value=st.floats(-1, 1),
    low=st.floats(-9, -1) | st.just(-math.inf),
    high=st.floats(1, 9) | st.just(math.inf),
    n=st.integers(1, 99),
    clusters=st.none() | st.integers(1, 9),
    level=st.just(0.95),
)
outers = st.builds(
    Outer,
    name=names,
    gain=st.none() | estimates,
    by_arm=st.dictionaries(names, estimates, max_size=3),
    by_step=st.dictionaries(st.integers(), inners, max_size=3),
    inner=st.none() | inners,
    parts=st.lists(inners, max_size=3).map(tuple),
    curve=st.lists(st.tuples(st.integers(), number), max_size=3),
    edges=st.lists(st.builds(Edge, number, st.integers()), max_size=3).map(tuple),
    outcome=st.sampled_from(["yes", "no", 3]),
    folder=names.map(Path),
    seeds=st.frozensets(st.integers(), max_size=3),
    facts=st.dictionaries(names, st.integers() | st.lists(st.booleans()), max_size=2),
    order=st.lists(names, max_size=3).map(tuple),
    score=finite | names,
    limit=st.none() | finite,
)


@given(outers)
def test_what_was_written_as_json_is_read_back_as_it_was(outer: Outer) -> None:
    written = json.loads(json.dumps(to_json(outer)))
    read = from_mapping(Outer, written)
    assert read.seeds == outer.seeds  # a set has no order, and NaN is not equal to itself
    assert repr(replace(read, seeds=frozenset())) == repr(replace(outer, seeds=frozenset()))
    assert type(read.curve) is list and type(read.seeds) is frozenset and type(read.doubled) is float


def test_a_number_that_was_nan_comes_back_as_nan_but_not_in_settings() -> None:
    assert math.isnan(from_mapping(Inner, {"steps": 1, "rate": None}).rate)
    with pytest.raises(ConfigError, match=r"^study: rate must be a number, got None$"):
        from_mapping(Inner, {"steps": 1, "rate": None}, "study", settings=True)


def test_numbers_of_settings_may_be_written_as_text_and_are_finite() -> None:
    assert from_mapping(Inner, {"steps": 1, "rate": "4e-4"}, settings=True).rate == 4e-4
    for wrong in ("nan", math.inf, True):
        with pytest.raises(ConfigError, match="rate must be a number"):
            from_mapping(Inner, {"steps": 1, "rate": wrong}, settings=True)
    with pytest.raises(ConfigError, match="rate must be a number, got '4e-4'"):
        from_mapping(Inner, {"steps": 1, "rate": "4e-4"})


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "^a.json: name is missing; expected text$"),
        ({"name": 3}, "^a.json: name must be text, got 3$"),
        ({"name": "a", "lmit": 3}, r"^a.json: unknown field 'lmit'; did you mean 'limit'\?$"),
        ({"name": "a", "inner": {}}, "^a.json: inner.steps is missing; expected a whole number$"),
        ({"name": "a", "inner": {"steps": 1, "stps": 2}}, r"^a.json: unknown field 'inner.stps'; did you mean 'steps'"),
        ({"name": "a", "inner": {"steps": -1}}, "^a.json: inner: steps must not be negative, got -1$"),
        ({"name": "a", "inner": 3}, "^a.json: inner must be a mapping with steps, rate, arms or null, got 3$"),
        ({"name": "a", "parts": [{"steps": 1}, {"steps": True}]}, r"parts\[1\].steps must be a whole number, got True"),
        ({"name": "a", "by_step": {"x": {"steps": 1}}}, "key 'x' of by_step must be a whole number, got 'x'"),
        ({"name": "a", "by_step": {"3": {"steps": ""}}}, "by_step.3.steps must be a whole number, got ''"),
        ({"name": "a", "curve": [[1, 2.0, 3]]}, r"curve\[0\] must be a list of 2 values, got \[1, 2.0, 3\]"),
        ({"name": "a", "edges": [[1.0, 2.5]]}, r"edges\[0\]\[1\] must be a whole number, got 2.5"),
        ({"name": "a", "outcome": "yess"}, r"outcome must be one of yes, no, 3, got 'yess'; did you mean 'yes'\?"),
        ({"name": "a", "limit": "x"}, "limit must be a number or null, got 'x'"),
        ({"name": "a", "gain": {"value": 1.0}}, r"gain cannot be read: .*got {'value': 1.0}"),
        ({"name": "a", "gain": 1.0}, "gain cannot be read"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected_and_found(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(Outer, mapping, "a.json")


def test_a_class_may_read_itself_with_it() -> None:
    @dataclass(frozen=True)
    class Span:
        low: float

        @classmethod
        def from_json(cls, plain: Any) -> "Span":
            return from_mapping(cls, {"low": plain[0]})

    @dataclass(frozen=True)
    class Holder:
        span: Span

    Holder.__annotations__["span"] = Span  # local classes cannot be found by name
    assert from_mapping(Holder, {"span": [0.5]}) == Holder(Span(0.5))


def test_a_field_may_be_stored_under_another_key() -> None:
    @dataclass(frozen=True)
    class Renamed:
        variant: str = field(metadata=stored_as("way"))

    assert to_json(Renamed("letters")) == {"way": "letters"}
    assert from_mapping(Renamed, {"way": "letters"}) == Renamed("letters")
    with pytest.raises(ConfigError, match="way is missing"):
        from_mapping(Renamed, {})
    with pytest.raises(ConfigError, match="unknown field 'variant'"):
        from_mapping(Renamed, {"variant": "letters"})


def test_nothing_near_suggests_nothing() -> None:
    assert did_you_mean("zzz", ["abc"]) == ""
    assert did_you_mean("anything", []) == ""


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    intervals: list[Interval]


def test_a_named_tuple_comes_from_a_list_or_from_a_mapping_of_all_its_fields() -> None:
    assert from_mapping(Curve, {"intervals": [[0.0, 1.0], {"high": 3, "low": 2}]}) == Curve(
        [Interval(0.0, 1.0), Interval(2.0, 3.0)]
    )
    with pytest.raises(ConfigError, match=r"intervals\[0\] must be Interval, got \{'low': 2\}"):
        from_mapping(Curve, {"intervals": [{"low": 2}]})
