"""What is sent to a chat endpoint, and what its responses hold."""

import pytest

from preflab.errors import ConfigError
from preflab.rollouts.servers.chat_protocol import (
    NO_TEXT,
    ONLY_REASONING,
    TOOL_CALL,
    ChatChoice,
    EndpointConfig,
    chat_base,
    content_text,
    error_of,
    read_choice,
)


@pytest.mark.parametrize(
    ("url", "base", "prefix"),
    [
        ("http://h:80", "http://h:80", "/v1"),
        ("http://h:80/", "http://h:80", "/v1"),
        ("http://h/v1", "http://h", "/v1"),
        ("http://h/openai/v1/", "http://h/openai", "/v1"),
        ("https://h/v1beta/openai", "https://h/v1beta/openai", ""),
        ("https://h/v1beta/openai/chat/completions", "https://h/v1beta/openai", ""),
        ("https://h/v1/chat/completions", "https://h", "/v1"),
    ],
)
def test_a_path_is_taken_as_it_stands_and_none_means_v1(url: str, base: str, prefix: str) -> None:
    assert chat_base(url) == (base, prefix)


def test_a_body_has_the_limit_under_its_name_and_extra_fields_last() -> None:
    plain = EndpointConfig().body({"model": "m", "stop": None}, max_new_tokens=5, seed=2**31 + 3)
    assert plain == {"model": "m", "max_tokens": 5, "seed": 3}
    config = EndpointConfig(
        token_limit="max_completion_tokens",
        thinking_tokens=100,
        send_seed=False,
        extra_body='{"top_k": 2, "model": null}',
    )
    assert config.body({"model": "m"}, max_new_tokens=5, seed=3) == {"max_completion_tokens": 105, "top_k": 2}
    for wrong in ("[1]", "{", "3"):
        with pytest.raises(ConfigError, match="extra_body: expected a JSON object"):
            EndpointConfig(extra_body=wrong)
    with pytest.raises(ConfigError, match="thinking_tokens must be at least 0"):
        EndpointConfig(thinking_tokens=-1)


def test_content_is_text_or_parts() -> None:
    assert content_text("a") == "a"
    assert content_text([{"type": "text", "text": "a"}, "b", {"type": "image"}, 3]) == "ab"
    assert content_text([{"type": "image"}]) is None
    assert content_text(None) is None


def body(message: dict[str, object], finish: str = "stop") -> dict[str, object]:
    """A response with one choice."""
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": {"completion_tokens": 3}}


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({"content": "a"}, "length", ChatChoice("a", "length", 3, False)),
        ({"content": None, "refusal": "no"}, "stop", ChatChoice("no", "stop", 3, True)),
        ({"content": None}, "content_filter", ChatChoice("", "content_filter", 3, True)),
        ({"content": "half"}, "content_filter", ChatChoice("half", "content_filter", 3, True)),
        ({"content": None}, "stop", ChatChoice("", "stop", 3, False, NO_TEXT)),
        ({"content": None, "tool_calls": [{}]}, "tool_calls", ChatChoice("", "tool_calls", 3, False, TOOL_CALL)),
        ({"content": None, "reasoning_content": "hm"}, "stop", ChatChoice("", "stop", 3, False, ONLY_REASONING)),
        ({"content": "a", "reasoning_content": "hm", "refusal": None}, "stop", ChatChoice("a", "stop", 3, False)),
    ],
)
def test_choices(message: dict[str, object], finish: str, expected: ChatChoice) -> None:
    assert read_choice(body(message, finish)) == expected


@pytest.mark.parametrize("response", ["text", None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": [None]}])
def test_what_is_no_response_of_the_protocol(response: object) -> None:
    assert read_choice(response) is None


def test_an_error_stands_in_a_response_without_choices() -> None:
    assert error_of({"error": {"message": "x"}}) == {"message": "x"}
    assert error_of(body({"content": "a"}) | {"error": None}) is None
