"""Parts of forms and items that protocols share; and what a protocol is."""

import pytest

from preflab.errors import DataError, StudyError
from preflab.feedback.protocols import EXAMPLES, PROTOCOLS, JudgementProtocol, discover_protocols, protocol_named
from preflab.feedback.protocols.protocol import (
    check_fields,
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
