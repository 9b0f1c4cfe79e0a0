"""A chat endpoint says who it is, and odd servers are read right or refused in their own words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from preflab.data.dialogue import Dialogue
from preflab.errors import SamplerError
from preflab.rollouts.requests.responders import ServerPolicy
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import Failure, Generate, Generation, Response
from preflab.rollouts.servers.chat_backends import open_chat_backend
from preflab.rollouts.servers.chat_endpoint import ChatEndpoint
from preflab.rollouts.servers.chat_protocol import NO_TEXT, ONLY_REASONING, TOOL_CALL, EndpointConfig
from preflab.rollouts.servers.openai_sampler import OpenAISampler
from preflab.rollouts.servers.policy_spec import PolicySpec
from preflab.rollouts.servers.remote import ServerConfig
from tests.fake_openai import ODD, TEXT, FakeOpenAI

QUICK = EndpointConfig(server=ServerConfig(retries=2, backoff_seconds=0.001, timeout_seconds=5.0))
HELLO = Dialogue.of("Hello")


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    server = FakeOpenAI()
    yield server
    server.stop()


def answer(fake: FakeOpenAI, model: str) -> Response:
    """What a policy on this server answers."""
    ((_, response),) = ServerPolicy(fake.url, model, config=QUICK).respond([Generate(prompt=HELLO)])
    return response


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("parts", Generation("Good day.")),
        ("refusal", Generation("I would rather not.", refused=True)),
        ("filtered", Generation("", refused=True)),
        ("tool", Failure(TOOL_CALL)),
        ("thinks", Failure(ONLY_REASONING)),
        ("textless", Failure(NO_TEXT)),
    ],
)
def test_odd_messages(fake: FakeOpenAI, model: str, expected: Response) -> None:
    assert answer(fake, model) == expected


@pytest.mark.parametrize("mood", ["wait", "moved", "reset", "busy_inside", "broken"])
def test_what_passes_is_asked_again(fake: FakeOpenAI, mood: str) -> None:
    fake.moods = [mood]
    assert answer(fake, "whole") == Generation(TEXT, 5, False)
    assert len(fake.asked) == 2
    assert fake.asked[1]["path"] == ("/elsewhere/chat/completions" if mood == "moved" else "/v1/chat/completions")


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("forbidden", "401 this key is no key"),
        ("refuses", "400 max_tokens is not supported, use max_completion_tokens"),
        ("error-inside", "the quota is used up"),
        ("wait-long", r"429 come back tomorrow \(it asks to wait 86400 s\)"),
        ("moved-away", r"307, it points to http://elsewhere\.invalid/v1/chat/completions: give that address"),
        ("reset", "the connection broke"),
    ],
)
def test_a_server_that_refuses_everything_is_an_error_in_its_own_words(
    fake: FakeOpenAI, model: str, complaint: str, tmp_path: Path
) -> None:
    """For a policy or judge, for a sampler, and before anything is asked that is kept."""
    with pytest.raises(SamplerError, match=complaint):
        answer(fake, model)
    with pytest.raises(SamplerError, match=complaint):
        OpenAISampler(fake.url, model, config=QUICK)([HELLO])
    policy = ServerPolicy(fake.url, model, config=QUICK)
    with pytest.raises(SamplerError, match=complaint):
        list(ResponseCache(tmp_path).respond(policy, [Generate(prompt=HELLO)]))
    assert not list(tmp_path.iterdir())


def test_paths_keys_and_fields_are_settings(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", "secret")
    config = EndpointConfig(
        server=ServerConfig(api_key_variable="OTHER_KEY"),
        token_limit="max_completion_tokens",
        thinking_tokens=10,
        send_seed=False,
        extra_body='{"top_k": 3}',
    )
    policy = ServerPolicy(f"{fake.url}/v1beta/openai", "whole", config=config)
    list(policy.respond([Generate(prompt=HELLO, max_new_tokens=5)]))
    (sent,) = fake.asked
    assert (sent["path"], sent["key"]) == ("/v1beta/openai/chat/completions", "Bearer secret")
    assert (sent["max_completion_tokens"], sent["top_k"]) == (15, 3)
    assert not {"max_tokens", "seed", "stop"} & sent.keys()


def test_the_identity_is_that_of_what_is_served(fake: FakeOpenAI) -> None:
    identity = ChatEndpoint(fake.url, "says", QUICK).identity
    first = identity()
    assert identity() == first
    fake.says = "Answer: B"  # another checkpoint under the same name
    second = identity()
    assert second != first
    fake.models = [{"id": "says", "created": 5, "root": "a", "permission": ["x"]}]
    third = identity()
    fake.models = [{"id": "says", "created": 5, "root": "a", "permission": ["y"]}, {"id": "other"}]
    assert third != second and identity() == third
    fake.models[0]["root"] = "b"
    assert identity() != third


def test_another_checkpoint_is_asked_anew_and_what_failed_too(fake: FakeOpenAI, tmp_path: Path) -> None:
    def ask() -> Response:
        policy = ServerPolicy(fake.url, "says", config=QUICK)
        ((_, response),) = ResponseCache(tmp_path).respond(policy, [Generate(prompt=HELLO)])
        return response

    assert ask() == Generation("Answer: A")
    n_asked = len(fake.asked)
    assert ask() == Generation("Answer: A") and len(fake.asked) == n_asked + 6  # the probes alone
    fake.says = "Answer: B"
    assert ask() == Generation("Answer: B")
    fake.says = "Answer: C"
    fake.moods = ["says"] * 6 + ["tool"]
    assert ask() == Failure(TOOL_CALL)
    assert ask() == Generation("Answer: C")


def test_the_site_reads_odd_streams_and_says_what_a_server_says(fake: FakeOpenAI) -> None:
    def reply(model: str) -> str:
        spec = PolicySpec(name="p", url=fake.url, served_name=model, endpoint=QUICK)
        return open_chat_backend(spec).reply(HELLO, seed=1).text

    assert reply("odd-stream") == ODD
    assert reply("parts") == "Good day."
    assert reply("refusal") == "I would rather not."
    fake.says = "<think>hm</think>Yes."
    assert reply("says") == "Yes."
    fake.moods = ["wait", "busy"]
    assert reply("good") == TEXT
    for model, complaint in (
        ("filtered", "kept the reply back"),
        ("error-inside", "the quota is used up"),
        ("forbidden", "this key is no key"),
        ("moved-away", r"points to http://elsewhere\.invalid"),
        ("reset", "RemoteProtocolError|ReadError"),
        ("dies", "the stream broke off after 14 characters"),
    ):
        with pytest.raises(SamplerError, match=complaint):
            reply(model)
