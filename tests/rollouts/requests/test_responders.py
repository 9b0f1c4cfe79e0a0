"""Who answers: the local model against its parts, best of n, scorers, samplers and a real chat server."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, DataError, SamplerError
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import SamplingConfig, generate
from preflab.rollouts.option_loglikelihood import encode_continuations, score_continuations
from preflab.rollouts.requests.responders import (
    BestOfN,
    LocalPolicy,
    ScorerResponder,
    ServerPolicy,
    cut_at_stop,
)
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    RewardScores,
    ScoreReplies,
)
from preflab.rollouts.servers.chat_protocol import EndpointConfig
from preflab.rollouts.servers.remote import ServerConfig
from tests.fake_openai import TEXT, FakeOpenAI

ASKED = Dialogue.of("Which of the two?")


@pytest.fixture(scope="module")
def policy() -> LocalPolicy:
    source = load_language_model("tiny")
    encoder = Encoder(source.tokenizer, max_tokens=256)
    return LocalPolicy(Trunk(source, None).reference(), encoder, name="tiny", weights=source.sha256)


def responses_of(responder: object, *asks: Request, seed: int = 0) -> list[object]:
    found = dict(responder.respond(list(asks), seed=seed))  # type: ignore[attr-defined]
    return [found[i] for i in range(len(asks))]


def test_log_probabilities_are_those_of_the_continuations(policy: LocalPolicy) -> None:
    asks = [
        OptionLogprobs(prompt=ASKED, lead="The", options=(" first", " second one")),
        OptionLogprobs(prompt="two and", options=(" a",)),
    ]
    for ask, answer in zip(asks, responses_of(policy, *asks), strict=True):
        own = encode_continuations(policy.encoder, ask.prompt, ask.lead, ask.options)
        assert own is not None
        assert isinstance(answer, OptionScores)
        assert answer.logprobs == pytest.approx(score_continuations(policy.role, [own])[0], abs=1e-4)
        assert answer.tokens == own.scored


def test_greedy_text_is_that_of_generate(policy: LocalPolicy) -> None:
    (said,) = responses_of(policy, Generate(prompt=ASKED, max_new_tokens=6))
    config = SamplingConfig(max_new_tokens=6, temperature=0.0)
    ((rollout,),) = generate(policy.role, [policy.encoder.prompt(ASKED)], policy.encoder, config)
    assert said == Generation(policy.encoder.text(rollout.tokens), len(rollout.tokens), rollout.finished)


def test_what_is_drawn_depends_on_the_ask_and_the_seed_alone(policy: LocalPolicy) -> None:
    asks = [Generate(prompt=Dialogue.of(f"Say {i}"), max_new_tokens=5, temperature=1.0) for i in range(5)]
    together, alone = responses_of(policy, *asks), [responses_of(policy, ask)[0] for ask in asks]
    assert together == alone
    assert responses_of(policy, *asks[::-1])[::-1] == together
    assert responses_of(policy, *asks, seed=1) != together
    again = [Generate(prompt=Dialogue.of("Say 0"), max_new_tokens=5, temperature=1.0, sample=k) for k in range(4)]
    assert len({own.text for own in responses_of(policy, *again)}) > 1  # type: ignore[attr-defined]


def test_a_lead_is_gone_on_from(policy: LocalPolicy) -> None:
    (said,) = responses_of(policy, Generate(prompt=ASKED, lead="I think", max_new_tokens=4))
    prompt = policy.encoder.prompt(ASKED) + policy.encoder.words("I think")
    config = SamplingConfig(max_new_tokens=4, temperature=0.0)
    ((rollout,),) = generate(policy.role, [prompt], policy.encoder, config)
    assert isinstance(said, Generation)
    assert said.text == policy.encoder.text(rollout.tokens)


def test_too_long_fails_that_ask_alone(policy: LocalPolicy) -> None:
    long = Dialogue.of("word " * 300)
    found = responses_of(
        policy,
        Generate(prompt=long),
        OptionLogprobs(prompt=long, options=("a",)),
        OptionLogprobs(prompt=ASKED, options=("a",)),
    )
    assert [type(own) for own in found] == [Failure, Failure, OptionScores]


@pytest.mark.parametrize(
    ("text", "stops", "found"),
    [
        ("one\n\ntwo", ("\n\n",), ("one", True)),
        ("one two", ("three",), ("one two", False)),
        ("a Q: b A: c", ("A:", "Q:"), ("a", True)),
        ("one", ("",), ("one", False)),
    ],
)
def test_stops(text: str, stops: tuple[str, ...], found: tuple[str, bool]) -> None:
    assert cut_at_stop(text, stops) == found


def vowels(dialogues: Sequence[Dialogue]) -> Float[Tensor, " dialogue"]:
    return torch.tensor([float(sum(c in "aeiou" for c in own.reply)) for own in dialogues])


def test_best_of_n_takes_what_the_scorer_likes_best(policy: LocalPolicy) -> None:
    best = BestOfN(policy, vowels, 6, scorer_digest="v")
    ask = Generate(prompt=ASKED, max_new_tokens=12, temperature=1.0)
    (chosen,) = responses_of(best, ask)
    drawn = responses_of(
        policy, *[Generate(prompt=ASKED, max_new_tokens=12, temperature=1.0, sample=k) for k in range(6)]
    )
    scores = [float(vowels([ASKED.with_reply(own.text)])[0]) for own in drawn]  # type: ignore[attr-defined]
    assert chosen == drawn[scores.index(max(scores))]
    assert isinstance(responses_of(best, OptionLogprobs(prompt=ASKED, options=("a",)))[0], Failure)


def test_a_scorer_rates_and_one_that_is_too_long_fails_alone() -> None:
    def scorer(dialogues: Sequence[Dialogue]) -> Float[Tensor, " dialogue"]:
        if any(len(own.reply) > 50 for own in dialogues):
            raise DataError("too long")
        return vowels(dialogues)

    respondent = ScorerResponder(scorer, name="vowels", digest="v")
    asks = [ScoreReplies(prompt=ASKED, replies=("aaa", "b")), ScoreReplies(prompt=ASKED, replies=("a" * 60, "b"))]
    assert responses_of(respondent, *asks) == [
        RewardScores((3.0, 0.0)),
        Failure("the prompt is too long for the model"),
    ]


def test_a_score_that_is_no_number_is_a_failure() -> None:
    respondent = ScorerResponder(lambda dialogues: torch.full((len(dialogues),), float("nan")), name="n", digest="n")
    assert isinstance(responses_of(respondent, ScoreReplies(prompt=ASKED, replies=("a", "b")))[0], Failure)


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    own = FakeOpenAI()
    yield own
    own.stop()


def test_a_chat_server_speaks(fake: FakeOpenAI) -> None:
    respondent = ServerPolicy(fake.url, "whole", config=EndpointConfig(server=ServerConfig(retries=0)))
    found = responses_of(respondent, Generate(prompt=ASKED), Generate(prompt="plain"), Generate(prompt=ASKED, lead="I"))
    assert found[:2] == [Generation(TEXT, 5, False)] * 2
    assert found[2] == Failure("a chat server cannot be given a beginning")
    assert {own["messages"][0]["content"] for own in fake.asked} == {"Which of the two?", "plain"}


def test_a_server_that_answers_without_a_text_fails_that_ask(fake: FakeOpenAI) -> None:
    respondent = ServerPolicy(fake.url, "textless", config=EndpointConfig(server=ServerConfig(retries=0)))
    assert responses_of(respondent, Generate(prompt=ASKED)) == [Failure("the server answered without a text")]


def test_a_server_that_stays_busy_is_an_error(fake: FakeOpenAI) -> None:
    respondent = ServerPolicy(
        fake.url, "broken", config=EndpointConfig(server=ServerConfig(retries=1, backoff_seconds=0.01))
    )
    with pytest.raises(SamplerError, match="engine died"):
        responses_of(respondent, Generate(prompt=ASKED))


def test_a_server_that_is_gone_is_an_error() -> None:
    respondent = ServerPolicy("http://127.0.0.1:9", "m", config=EndpointConfig(server=ServerConfig(retries=0)))
    with pytest.raises(SamplerError, match="nothing answers there"):
        responses_of(respondent, Generate(prompt=ASKED))


def test_seeds_must_match_prompts(policy: LocalPolicy) -> None:
    with pytest.raises(ConfigError, match="one seed for each prompt"):
        generate(policy.role, [(5, 6)], policy.encoder, SamplingConfig(max_new_tokens=2), rng=[1, 2])
