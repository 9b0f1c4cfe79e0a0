"""One request to a vLLM server: no default of its own has a say, and no response is trusted."""

from collections.abc import Callable
from typing import Any

import pytest

from preflab.errors import ConfigError, SamplerError
from preflab.models.roles import Role
from preflab.rollouts.generate import SamplingConfig
from preflab.rollouts.servers.vllm import VLLMEngine
from tests.fake_vllm import FakeVLLM
from tests.rollouts.servers.vllm_parts import EIGHT, prompts


def test_no_default_of_the_server_has_a_say(engine: VLLMEngine, policy: Role, fake: FakeVLLM) -> None:
    engine.push(policy, 0)
    engine.generate(prompts("hi"), EIGHT, n=1, seed=0)
    asked = fake.paths("/v1/completions")[-1]
    neutral = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "temperature": 1.0, "max_tokens": 8}
    assert neutral.items() <= asked.items()


def test_settings_that_vllm_has_too_are_passed_on_and_others_refused(
    engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    engine.push(policy, 0)
    engine.generate(prompts("hi"), SamplingConfig(max_new_tokens=8, max_batch=3), n=1, seed=0)
    neutral = {"top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}
    assert neutral.items() <= fake.paths("/v1/completions")[-1].items()
    some = SamplingConfig(max_new_tokens=8, top_k=5, top_p=0.9, repetition_penalty=1.1)
    engine.generate(prompts("hi"), some, n=1, seed=0)
    assert {"top_p": 0.9, "top_k": 5, "repetition_penalty": 1.1}.items() <= fake.paths("/v1/completions")[-1].items()
    with pytest.raises(ConfigError, match=r"cannot draw with sampling\.no_repeat_ngram=3; leave it off"):
        engine.generate(prompts("hi"), SamplingConfig(max_new_tokens=8, no_repeat_ngram=3), n=1, seed=0)


Choice = dict[str, Any]


def first(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Spoil the first reply; a callable gets what stands there."""

    def mangle(answer: dict[str, Any]) -> dict[str, Any]:
        choice = answer["choices"][0]
        for key, change in changes.items():
            choice[key] = change(choice) if callable(change) else change
        return answer

    return mangle


def with_logprob(value: object) -> Callable[[Choice], Any]:
    return lambda choice: {"token_logprobs": [value, *choice["logprobs"]["token_logprobs"][1:]]}


AMISS: dict[str, tuple[Any, str]] = {
    "no token ids": (first(token_ids=None), "expected 'token_ids'.*not re-tokenizing"),
    "no log-probs": (first(logprobs=None), "expected 'logprobs' with 'token_logprobs'; found none"),
    "fewer tokens": (first(token_ids=lambda c: c["token_ids"][:-1]), "as many log-.* 7 tokens, 8 of them"),
    "nan": (first(logprobs=with_logprob(float("nan"))), "finite log-probabilities of at most 0; found nan"),
    "none": (first(logprobs=with_logprob(None)), r"finite.*found None \(1 such\)"),
    "minus infinity": (first(logprobs=with_logprob(-9999.0)), "finite.*found -9999"),
    "positive": (first(logprobs=with_logprob(0.5)), "finite log-probabilities of at most 0; found 0.5"),
    "another prompt": (first(prompt_token_ids=[1, 2]), "expected the prompt as it was sent; found 2 tokens"),
    "cut short": (
        first(token_ids=lambda c: c["token_ids"][:3], logprobs=lambda c: {"token_logprobs": [-1.0] * 3}),
        "ends with one of .* or has 8 tokens; found 3 tokens.*--generation-config vllm",
    ),
    "too long": (
        first(token_ids=[9] * 9, logprobs={"token_logprobs": [-1.0] * 9}),
        "expected 1 to 8 tokens; found 9",
    ),
    "empty": (first(token_ids=[], logprobs={"token_logprobs": []}), "expected 1 to 8 tokens; found 0"),
    "a reply missing": (lambda a: a | {"choices": a["choices"][:1]}, "replies are missing; expected 2"),
    "no replies": (lambda a: {"object": "text_completion"}, "holds no replies; expected a list 'choices'"),
    "no object": (lambda a: "hello", "holds no replies.*found 'hello'"),
    "malformed": (lambda a: a | {"choices": [7, 8]}, "malformed; expected vLLM's fields"),
}


@pytest.mark.parametrize("what", AMISS)
def test_an_answer_that_cannot_be_trusted_is_refused_with_what_was_expected(
    what: str, engine: VLLMEngine, policy: Role, fake: FakeVLLM
) -> None:
    engine.push(policy, 0)
    fine = engine.generate(prompts(), EIGHT, n=2, seed=5)
    fake.mangle, message = AMISS[what]
    with pytest.raises(SamplerError, match=message) as error:
        engine.generate(prompts(), EIGHT, n=2, seed=5)
    assert str(error.value).startswith(fake.url)
    assert "vllm serve /models/tiny --enable-lora --max-lora-rank 8" in str(error.value)
    fake.mangle = lambda answer: answer  # and the failed call cost nothing
    assert engine.generate(prompts(), EIGHT, n=2, seed=5) == fine
