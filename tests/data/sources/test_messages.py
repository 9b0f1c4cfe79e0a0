"""Messages of several tools."""

import json
from typing import Any

import pytest

from preflab.data.dialogue import Message
from preflab.data.sources.messages import is_messages, messages, prompt_messages, role_of
from preflab.errors import DataError, RecordRefused

EXPECTED = (Message("user", "hi"), Message("assistant", "hello"))


@pytest.mark.parametrize(
    "value",
    [
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
        [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}],
        [{"role": "Human", "content": "hi"}, {"role": "Assistant", "content": "hello"}],
        [{"role": "prompter", "text": "hi"}, {"role": "bot", "text": "hello"}],
        [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, {"role": "model", "content": "hello"}],
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello", "tool_calls": None}],
    ],
)
def test_every_tool_s_messages_are_ours(value: list[Any]) -> None:
    assert is_messages(value)
    assert messages(value, "x") == EXPECTED
    assert messages(json.dumps(value), "x") == EXPECTED


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"role": "narrator", "content": "a"}, r"has the role 'narrator'; expected system, user \(human\), assistant"),
        ({"role": 3, "content": "a"}, "has the role 3"),
        ({"role": "assistant", "content": None}, r"a message has no content \(null\)"),
        ({"role": "assistant", "content": "a", "tool_calls": [{"id": "1"}]}, "a call of a tool has no name"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "x"}}]}, "no JSON object"),
        ({"role": "assistant", "content": "a", "tool_calls": "x"}, "a call of a tool cannot be read"),
        ({"role": "assistant", "content": "a", "reasoning_content": 3}, "a thought beside a message is no text"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "something else than text"),
    ],
)
def test_what_a_dialogue_of_text_cannot_hold_is_refused_with_the_reason(message: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordRefused, match=reason):
        messages([message], "x")


@pytest.mark.parametrize("value", ["text", 3, None, [3], [{"role": "user"}], [{"content": "a"}], ["a"]])
def test_what_is_no_list_of_messages_stops_the_load(value: object) -> None:
    assert not is_messages(value)
    with pytest.raises(DataError, match=r"\[x\]: expected a list of messages"):
        messages(value, "x")


def test_a_prompt_may_be_text_even_text_that_looks_like_json() -> None:
    assert prompt_messages("hi", "x") == (Message("user", "hi"),)
    assert prompt_messages('{"a": 1}', "x") == (Message("user", '{"a": 1}'),)
    assert prompt_messages('[{"role": "user", "content": "hi"}]', "x") == (Message("user", "hi"),)


def test_a_role_in_any_case_and_with_blanks() -> None:
    assert [role_of(name, "x") for name in (" SYSTEM ", "Human", "GPT", "ChatGPT")] == [
        "system",
        "user",
        "assistant",
        "assistant",
    ]


WEATHER = '<tool_call>\n{"arguments": {"city": "Oslo"}, "name": "weather"}\n</tool_call>'


@pytest.mark.parametrize(
    "message",
    [
        {"tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]},
        {"content": None, "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]},
        {"content": "", "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
        {"content": None, "tool_calls": '[{"name": "weather", "arguments": {"city": "Oslo"}}]'},
    ],
)
def test_a_call_of_a_tool_stands_in_the_text(message: dict[str, Any]) -> None:
    assert messages([{"role": "assistant", **message}], "x") == (Message("assistant", WEATHER),)


def test_calls_answers_and_thoughts_of_a_whole_dialogue() -> None:
    turns = [
        {"from": "human", "value": "Weather in Oslo?"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Oslo"}}'},
        {"from": "observation", "value": "12 C"},
        {"from": "gpt", "value": "It is 12 C.", "reasoning_content": "Read it out."},
    ]
    assert messages(turns, "x") == (
        Message("user", "Weather in Oslo?"),
        Message("assistant", WEATHER),
        Message("tool", "12 C"),
        Message("assistant", "<think>\nRead it out.\n</think>\n\nIt is 12 C."),
    )
