"""A chat endpoint as a sampler."""

from collections.abc import Iterator

import pytest

from preflab.data.dialogue import Dialogue
from preflab.errors import SamplerError
from preflab.interfaces import Sampler
from preflab.rollouts.servers.chat_protocol import EndpointConfig
from preflab.rollouts.servers.openai_sampler import OpenAISampler
from preflab.rollouts.servers.remote import ServerConfig
from tests.fake_vllm import FakeVLLM, refusal

QUICK = ServerConfig(retries=2, backoff_seconds=0.001, timeout_seconds=5.0)


@pytest.fixture
def fake() -> Iterator[FakeVLLM]:
    fake = FakeVLLM()
    yield fake
    fake.stop()


@pytest.fixture
def sampler(fake: FakeVLLM) -> Iterator[OpenAISampler]:
    sampler = OpenAISampler(
        fake.url, "tiny", max_new_tokens=6, temperature=0.7, seed=3, config=EndpointConfig(server=QUICK)
    )
    yield sampler
    sampler.endpoint.server.close()


def test_dialogues_come_back_one_turn_longer_and_in_order(fake: FakeVLLM, sampler: OpenAISampler) -> None:
    dialogues = [Dialogue.of("a"), Dialogue.of("b", "c", "d", system="be kind"), Dialogue.of("a")]
    found = sampler(dialogues)
    assert isinstance(sampler, Sampler)
    assert [d.prompt for d in found] == dialogues and not any(d.awaits_reply for d in found)
    sent = sorted(fake.paths("/v1/chat/completions"), key=lambda body: body["seed"])
    assert [body["messages"] for body in sent] == [d.to_json() for d in dialogues]
    assert {(body["model"], body["temperature"], body["max_tokens"]) for body in sent} == {("tiny", 0.7, 6)}
    assert found[0].reply != found[2].reply  # every call has a seed of its own
    again = OpenAISampler(
        fake.url, "tiny", max_new_tokens=6, temperature=0.7, seed=3, config=EndpointConfig(server=QUICK)
    )
    assert again(dialogues) == found
    again.endpoint.server.close()


def test_a_reply_without_text_is_refused_and_so_is_a_refusal(fake: FakeVLLM, sampler: OpenAISampler) -> None:
    fake.mangle = lambda answer: {"choices": [{"message": {"content": None}}]}
    with pytest.raises(SamplerError, match=r"dialogue 0 got no reply; expected choices\[0\]"):
        sampler([Dialogue.of("a")])
    fake.before = lambda path, body: refusal(400, "no such model")
    with pytest.raises(SamplerError, match=r"model 'tiny' refuses dialogue 1; .*found 400 no such model"):
        sampler([Dialogue.of("a")])
