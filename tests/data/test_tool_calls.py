"""Calls and thoughts in the text of a turn, and apart again for a template."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflab.data.dialogue import Message
from preflab.data.tool_calls import has_calls, split_calls, template_message, with_calls, with_thought

NAME = st.text("abc_", min_size=1, max_size=5)
VALUE = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8)
CALL = st.fixed_dictionaries({"name": NAME, "arguments": st.dictionaries(NAME, VALUE | st.lists(VALUE), max_size=2)})


@given(st.text("ab {}<>\n", max_size=10).map(str.strip), st.lists(CALL, max_size=3))
def test_what_is_put_together_comes_apart(text: str, calls: list[dict[str, Any]]) -> None:
    assert split_calls(with_calls(text, calls)) == (text, calls)


def test_a_call_is_written_as_most_templates_tell_it() -> None:
    call = {"name": "weather", "arguments": {"city": "Málaga"}}
    written = '<tool_call>\n{"arguments": {"city": "Málaga"}, "name": "weather"}\n</tool_call>'
    assert with_calls("Let me look.", [call]) == f"Let me look.\n{written}"
    assert with_calls("", [call, call]) == f"{written}\n{written}"


@pytest.mark.parametrize(
    "text",
    [
        "no call",
        "<tool_call>\nnot JSON\n</tool_call>",
        '<tool_call>\n{"name": "f"}\n</tool_call>',
        '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call> and then words',
        '<tool_call>\n{"name": "f", "arguments": {}}',
        "<tool_call>" * 50,
    ],
)
def test_text_that_ends_with_no_call_is_text(text: str) -> None:
    assert split_calls(text) == (text, [])


def test_words_about_a_call_before_a_call_stay_words() -> None:
    call = {"name": "f", "arguments": {}}
    text = 'I write <tool_call>\n{"name": "f", "arguments": {}}\n</tool_call> like so.'
    assert split_calls(with_calls(text, [call])) == (text, [call])


def test_a_template_is_given_the_call_apart_and_other_turns_as_they_are() -> None:
    call = {"name": "f", "arguments": {"x": 1}}
    assert template_message(Message("assistant", with_calls("hm", [call]))) == {
        "role": "assistant",
        "content": "hm",
        "tool_calls": [{"type": "function", "function": call}],
    }
    for role in ("user", "system", "tool"):
        text = with_calls("hm", [call])
        assert template_message(Message(role, text)) == {"role": role, "content": text}  # type: ignore[arg-type]


def test_turns_that_need_a_template_with_tools_are_known() -> None:
    assert has_calls(Message("tool", "12 C"))
    assert has_calls(Message("assistant", with_calls("", [{"name": "f", "arguments": {}}])))
    assert not has_calls(Message("assistant", "plain"))
    assert not has_calls(Message("user", with_calls("", [{"name": "f", "arguments": {}}])))


def test_a_thought_stands_before_what_is_said() -> None:
    assert with_thought("Yes.", " because \n") == "<think>\nbecause\n</think>\n\nYes."
    assert with_thought("Yes.", " ") == "Yes."
