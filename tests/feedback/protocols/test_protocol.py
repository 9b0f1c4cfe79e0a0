"""Parts of forms and items that protocols share; and what a protocol is."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflab.errors import DataError, StudyError
from preflab.feedback.protocols import EXAMPLES, PROTOCOLS, JudgementProtocol, discover_protocols, protocol_named
from preflab.feedback.protocols.protocol import (
    check_fields,
    field_of,
    prompt_of,
    read_checkbox,
    read_int,
    read_seconds,
    read_text,
    replies_of,
    scale_point,
    scale_points,
)
from preflab.feedback.study import parse_study


def test_protocols_are_discovered_and_say_all_of_themselves() -> None:
    assert set(discover_protocols()) == {"chat", "clips", "questions", "rank", "rule-judge", "rule-probe"}
    for name, protocol in PROTOCOLS.items():
        assert isinstance(protocol, JudgementProtocol) and protocol_named(name) is protocol
        assert protocol.template.endswith(".html.j2") and protocol.examples.keys() <= EXAMPLES.keys()
        for text in protocol.examples.values():
            file = parse_study(text)
            assert file.definition.protocol.name == name
            assert bool(file.definition.policies) or not protocol.needs_policies
    with pytest.raises(StudyError, match="did you mean 'rank'"):
        protocol_named("rnak")


def test_scales_are_even_about_the_middle() -> None:
    assert scale_points(4) == [-2, -1, 1, 2] and scale_points(5) == [-2, -1, 0, 1, 2]
    assert scale_point({"scale": "-2"}, 4) == -2
    with pytest.raises(DataError, match="choose a side"):
        scale_point({"scale": "0"}, 4)


@pytest.mark.parametrize(
    ("text", "complaint"), [("", "nothing was chosen"), ("9", "from 1 to 7"), ("²", "whole number")]
)
def test_a_number_is_whole_and_in_its_bounds(text: str, complaint: str) -> None:
    assert read_int({"k": " 3 "}, "k", 1, 7) == 3
    with pytest.raises(DataError, match=rf"\[k\].*{complaint}"):
        read_int({"k": text}, "k", 1, 7)


def test_fields_of_a_form() -> None:
    assert read_text({"t": " a\r\nb "}, "t") == "a\nb"
    with pytest.raises(DataError, match="at most 2 characters, got 3"):
        read_text({"t": "abc"}, "t", longest=2)
    assert [read_checkbox({"b": value}, "b") for value in ("1", "on", "0", "")] == [True, True, False, False]
    assert [read_seconds({"seconds": value}) for value in ("1.23456", "-1", "nan", "x")] == [1.235, None, None, None]


def test_parts_of_an_item() -> None:
    assert prompt_of({"prompt": "q"}) == [{"role": "user", "content": "q"}]
    with pytest.raises(DataError, match="end with the user"):
        prompt_of({"prompt": [{"role": "assistant", "content": "a"}]})
    named = {"replies": ["a", {"text": "b", "policy": "y"}]}
    assert replies_of(named, fewest=2, most=3) == (["a", "b"], ["", "y"])
    assert replies_of(named | {"policies": ["x", "z"]}, fewest=2, most=3) == (["a", "b"], ["x", "z"])
    with pytest.raises(DataError, match="expected 2 names"):
        replies_of(named | {"policies": ["x"]}, fewest=2, most=3)
    with pytest.raises(DataError, match=r"\[promt\]: unknown field; known are name, prompt, slots"):
        check_fields({"promt": "q"}, "prompt")


# whatever a browser sends ----------------------------------------------------------------------------------


@given(st.text(), st.integers(-9, 9), st.integers(-9, 9))
@settings(deadline=None)
def test_a_number_is_read_if_and_only_if_it_is_one_in_its_bounds(text: str, low: int, high: int) -> None:
    spelled = {str(k): k for k in range(low, high + 1)}
    if text.strip() in spelled:
        assert read_int({"k": text}, "k", low, high) == spelled[text.strip()]
        return
    try:
        number = read_int({"k": text}, "k", low, high)
    except DataError as error:
        assert error.field == "k"
    else:  # other spellings of a number within the bounds, such as 007 and -0
        assert low <= number <= high and int(text) == number


@given(st.text())
@settings(deadline=None)
def test_text_keeps_everything_but_blanks_around_and_line_ends(text: str) -> None:
    read = read_text({"t": text}, "t")
    assert read == text.replace("\r\n", "\n").strip()
    assert read_text({"t": read}, "t") == read.replace("\r\n", "\n").strip()
    if not text.strip():
        with pytest.raises(DataError, match="please write something here"):
            read_text({"t": text}, "t", needed=True)


@given(st.text() | st.floats().map(str))
@settings(deadline=None)
def test_seconds_are_a_time_of_at_most_a_day_or_none(text: str) -> None:
    seconds = read_seconds({"seconds": text})
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= 86_400)


@pytest.mark.parametrize("steps", range(2, 12))
def test_every_point_of_a_scale_can_be_chosen_and_no_other(steps: int) -> None:
    points = scale_points(steps)
    assert len(points) == steps and points == sorted(-point for point in points)
    assert [scale_point({"scale": str(point)}, steps) for point in points] == points
    for other in {*range(-steps, steps + 1)} - {*points}:
        with pytest.raises(DataError, match=r"\[scale\]"):
            scale_point({"scale": str(other)}, steps)


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        ("x", str, True),
        (1, str, False),
        (True, bool, True),
        (True, int, False),
        (1, int, True),
        (1, (int, float), True),
    ],
)
def test_a_field_has_its_type_and_a_truth_value_is_no_number(value: Any, kind: Any, fits: bool) -> None:
    if fits:
        assert field_of({"f": value}, "f", kind, "that") == value
    else:
        with pytest.raises(DataError, match=rf"\[f\].*expected that, got {type(value).__name__}"):
            field_of({"f": value}, "f", kind, "that")
    with pytest.raises(DataError, match=r"\[g\].*missing; expected that"):
        field_of({"f": value}, "g", kind, "that")


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"replies": ["a"]}, "expected 2 to 3 replies, got 1"),
        ({"replies": ["a"] * 4}, "expected 2 to 3 replies, got 4"),
        ({"replies": ["a", 2]}, "each reply is a text, or has a text"),
        ({"replies": ["a", {"policy": "p"}]}, "each reply is a text, or has a text"),
        ({"replies": "ab"}, "expected 2 to 3 replies, got str"),
        ({"replies": ["a", "b"], "policies": ["x", 1]}, "expected 2 names"),
        ({"replies": ["a", "b"], "policies": "xy"}, "expected 2 names"),
    ],
)
def test_replies_that_are_none_are_refused(record: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        replies_of(record, fewest=2, most=3)


@pytest.mark.parametrize("prompt", ["", "  ", None, [], 3, {"role": "user"}])
def test_a_prompt_that_is_none_is_refused(prompt: Any) -> None:
    with pytest.raises(DataError, match=r"\[prompt\].*expected a text or a list of messages"):
        prompt_of({"prompt": prompt})
