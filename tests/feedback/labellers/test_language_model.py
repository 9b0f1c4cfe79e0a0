"""A language model as a judge: both orders, written answers and probabilities, abstentions, and the tiny model."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from preflab.data.comparison import Comparison
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.feedback.label_comparisons import NO_LABEL, label_comparisons
from preflab.feedback.labellers.language_model import QUESTIONS, LanguageModelLabeller, LanguageModelSettings
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.requests import llm_judge
from preflab.rollouts.requests.llm_judge import ask_letter, choice_prompt, transcript
from preflab.rollouts.requests.parse_reply import NEITHER
from preflab.rollouts.requests.responders import LocalPolicy
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
)


@dataclass
class Fake:
    """A responder that is a function of the request."""

    answer: Callable[[Request], Response]
    kinds: frozenset[str] = frozenset({OptionLogprobs.kind, Generate.kind})
    name: str = "fake"
    digest: str = "fake"
    requests: list[Request] = field(default_factory=list)

    def respond(self, requests: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        self.requests += requests
        for i in reversed(range(len(requests))):  # in any order
            yield i, self.answer(requests[i])


def text_of(request: Request) -> str:
    assert isinstance(request.prompt, Dialogue)
    return request.prompt.messages[-1].text


def good_is_a(request: Request) -> bool:
    return "(A) good" in text_of(request)


def logprobs(prob_a: float, mass: float = 1.0) -> OptionScores:
    return OptionScores((math.log(prob_a * mass), math.log((1 - prob_a) * mass)), (1, 1))


PAIR = Comparison(prompt=Dialogue.of("Help me."), replies=("good", "bad"), ranks=(0, 0))


def test_a_preference_for_the_first_place_cancels() -> None:
    first_place = Fake(lambda request: logprobs(0.9))
    labels = LanguageModelLabeller(first_place)([PAIR, PAIR.swap()])
    assert labels.prob_first.tolist() == pytest.approx([0.5, 0.5])
    partial = Fake(lambda request: logprobs(0.9 if good_is_a(request) else 0.4))
    # (0.9 + (1 - 0.4)) / 2 = 0.75, and the swapped pair has the rest of it
    assert LanguageModelLabeller(partial)([PAIR, PAIR.swap()]).prob_first.tolist() == pytest.approx([0.75, 0.25])


def test_the_judge_reads_conversation_and_criterion() -> None:
    judge = Fake(lambda request: logprobs(0.5))
    LanguageModelLabeller(judge, settings=LanguageModelSettings(criterion="harmless"))([PAIR])
    shown = text_of(judge.requests[0])
    assert "User: Help me." in shown and QUESTIONS["harmless"] in shown
    assert shown.index("(A) good") < shown.index("(B) bad")
    assert judge.requests[0].role == "judge"


def test_unreadable_answers_are_abstentions_counted_by_reason() -> None:
    def answer(request: Request) -> Response:
        if "empty" in text_of(request):
            return Generation("  ")
        if "broken" in text_of(request):
            return Failure("the server refused the prompt")
        if "odd" in text_of(request):
            return Generation("(A)" if "(A) odd" in text_of(request) else "Both are fine.")
        return Generation("The answer is (A)." if good_is_a(request) else "(B)")

    replies = [("good", "bad"), ("empty", "bad"), ("good", "broken"), ("odd", "bad")]
    pairs = [Comparison(prompt=Dialogue.of("q"), replies=texts, ranks=(0, 0)) for texts in replies]
    labels = LanguageModelLabeller(Fake(answer, kinds=frozenset({Generate.kind})))(pairs)
    assert labels.prob_first[0] == 1.0
    assert labels.abstained == {1: "the model said nothing", 2: "the server refused the prompt", 3: NEITHER}


def test_options_without_probability_are_no_answer() -> None:
    labels = LanguageModelLabeller(Fake(lambda request: logprobs(0.9, mass=0.001)))([PAIR])
    assert labels.reasons() == {NEITHER: 1}


def test_the_share_of_the_readable_draws() -> None:
    def answer(request: Request) -> Response:
        assert isinstance(request, Generate) and request.temperature == 1.0
        if request.sample == 3:
            return Generation("hm")
        return Generation("(A)" if request.sample < 2 else "(B)")  # 2 of 3 readable, in either order

    settings = LanguageModelSettings(samples=4, temperature=1.0)
    judge = Fake(answer)
    assert LanguageModelLabeller(judge, settings=settings)([PAIR]).prob_first.tolist() == pytest.approx([0.5])
    assert len(judge.requests) == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, "samples must be at least 1"),
        ({"samples": 3}, "at temperature 0 all are equal"),
        ({"temperature": -1.0}, "temperature must not be negative"),
        ({"read": "logprobs", "temperature": 1.0}, "no effect on log-probabilities"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LanguageModelSettings(**settings)  # type: ignore[arg-type]


def test_log_probabilities_cannot_be_read_from_one_who_gives_none() -> None:
    mute = Fake(lambda request: Generation("(A)"), kinds=frozenset({Generate.kind}))
    with pytest.raises(ConfigError, match="fake gives no log-probabilities"):
        LanguageModelLabeller(mute, settings=LanguageModelSettings(read="logprobs"))


def test_the_tiny_model_labels_comparisons_and_a_second_pass_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = load_language_model("tiny")
    encoder = Encoder(source.tokenizer, max_tokens=512)
    policy = LocalPolicy(Trunk(source, None).reference(), encoder, name="tiny", weights=source.sha256)
    old = [
        Comparison(prompt=Dialogue.of("Name a colour."), replies=("Red.", "No.", "Blue, of course."), ranks=(0, 1, 2)),
        Comparison.chosen_rejected(Dialogue.of("Say hello."), "Hello!", "Go away."),
    ]
    cache = ResponseCache(tmp_path)
    done = label_comparisons(old, LanguageModelLabeller(policy, name="model:tiny", cache=cache))
    assert (done.comparisons, done.abstained, done.left_out) == ([], {NEITHER: 4}, {NO_LABEL: 2})  # it knows no letters
    assert (cache.misses, cache.hits) == (8, 0)

    monkeypatch.setattr(llm_judge, "LEAST_MASS", 0.0)  # take what little it gives them
    second_pass = ResponseCache(tmp_path)
    labeller = LanguageModelLabeller(policy, name="model:tiny", cache=second_pass)
    three, two = label_comparisons(old, labeller).comparisons
    assert (second_pass.misses, second_pass.hits) == (0, 8)
    assert sorted(three.ranks) == [0, 1, 2] and three.provenance.annotator == "model:tiny"
    orders = [ask_letter(prompt) for prompt in _prompts_of(old[1])]
    as_first, as_second = (scores.probs[0] for _, scores in sorted(policy.respond(orders)))  # type: ignore[union-attr]
    assert two.prob_first == pytest.approx((as_first + 1 - as_second) / 2, abs=1e-5)
    assert labeller([old[1].swap()]).prob_first[0] == pytest.approx(1 - two.prob_first)
    assert second_pass.misses == 0  # the other order was asked as well


def _prompts_of(pair: Comparison) -> list[Dialogue]:
    question = f"Here is a conversation.\n\n{transcript(pair.prompt)}\n\nWhich reply is better?"
    return [choice_prompt(question, a, b) for a, b in (pair.replies, pair.replies[::-1])]
