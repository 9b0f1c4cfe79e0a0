"""Our policy as a model of lm-evaluation-harness, with a stand-in for the harness, against plain float64 passes.

The harness itself runs it beside its own class in ``test_lm_eval``, where it is installed.
"""

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from preflab.errors import DataError
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import SamplingConfig, generate
from preflab.rollouts.requests.responders import LocalPolicy
from tests.bridges.fake_frameworks import Attributes, lm_eval_modules
from tests.training.oracle import float64_model

NAME = "preflab.bridges.lm_eval_model"
CONTEXT = 64


@pytest.fixture(scope="module")
def bridge() -> Iterator[Any]:
    """The module over the stand-in; forgotten afterwards, so that no other test meets it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in lm_eval_modules().items():
            patch.setitem(sys.modules, name, module)
        patch.delitem(sys.modules, NAME, raising=False)
        yield importlib.import_module(NAME)
        del sys.modules[NAME]


@pytest.fixture(scope="module")
def policy() -> LocalPolicy:
    source = load_language_model("tiny", precision="fp32")
    encoder = Encoder(source.tokenizer, max_tokens=CONTEXT)
    return LocalPolicy(Trunk(source, None).reference(), encoder, name="tiny", weights=source.sha256)


@pytest.fixture
def model(bridge: Any, policy: LocalPolicy) -> Any:
    return bridge.PolicyLM(policy)


@pytest.fixture(scope="module")
def oracle() -> Any:
    return float64_model()


def greedy(room: int) -> SamplingConfig:
    return SamplingConfig(max_new_tokens=room, temperature=0.0)


def request(*arguments: Any) -> Attributes:
    return Attributes(args=arguments)


@torch.no_grad()
def token_logprobs(oracle: Any, tokens: list[int]) -> tuple[list[float], list[bool]]:
    """Log-probability of every token but the first, and whether it was the likeliest."""
    logits: Tensor = oracle(input_ids=torch.tensor([tokens])).logits[0, :-1]
    logp, targets = logits.log_softmax(-1), torch.tensor(tokens[1:])
    chosen = logp.gather(1, targets[:, None])[:, 0]
    return chosen.tolist(), (logp.argmax(-1) == targets).tolist()


def expected(oracle: Any, context: list[int], continuation: list[int]) -> tuple[float, bool]:
    """As the harness's own class does it: what is too long loses its beginning."""
    sequence = [*context, *continuation][-(CONTEXT + 1) :]
    logp, likeliest = token_logprobs(oracle, sequence)
    n = min(len(continuation), len(sequence) - 1)
    return sum(logp[-n:]), all(likeliest[-n:])


# log-probabilities -----------------------------------------------------------------------------------------

PAIRS = [
    ("The sky is", " blue"),
    ("The sky is", " blue and green"),
    ("The sky is", " red"),
    ("The sky was", " red"),
    ("Two and two are ", "four"),
    ("", "alone"),
    ("x" * 80, " too long"),
    ("The sky is", " blue"),
]


def test_log_probabilities_are_those_of_plain_passes_whatever_is_shared(model: Any, oracle: Any) -> None:
    found = model.loglikelihood([request(*pair) for pair in PAIRS])
    for (context, continuation), (logprob, _) in zip(PAIRS, found, strict=True):
        stripped = context.rstrip()
        alone = model.tok_encode(stripped) if context else [model.prefix_token_id]
        both = model.tok_encode(context + continuation)
        after = both[len(alone) :] if context else both
        assert logprob == pytest.approx(expected(oracle, alone, after)[0], abs=1e-4), (context, continuation)
    assert found[0] == found[-1]


def test_a_shared_context_is_run_once(model: Any) -> None:
    requests = [request("The sky over the sea is", f" {colour}") for colour in ("blue", "green", "grey", "red")]
    model.loglikelihood(requests)
    apart = sum(len(model.tok_encode("".join(r.args))) for r in requests)
    context = len(model.tok_encode("The sky over the sea is"))
    assert model.scored_tokens == apart - 3 * context


def test_the_likeliest_continuation_is_greedy_and_another_is_not(model: Any, oracle: Any) -> None:
    context = model.tok_encode("Say")
    continuation: list[int] = []
    for _ in range(3):
        with torch.no_grad():
            logits = oracle(input_ids=torch.tensor([[*context, *continuation]])).logits[0, -1]
        continuation.append(int(logits.argmax()))
    other = [*continuation[:-1], (continuation[-1] + 1) % 200]
    found = model._loglikelihood_tokens([(None, context, continuation), (None, context, other)])
    assert [greedy for _, greedy in found] == [True, False]


def test_answers_go_to_the_harnesss_cache_by_request_but_not_those_of_windows(model: Any) -> None:
    found = model.loglikelihood([request("a", " b"), request("a", " c")])
    model._loglikelihood_tokens([(None, [70], [71])])
    assert model.cache_hook.partials == [
        ("loglikelihood", ("a", " b"), found[0]),
        ("loglikelihood", ("a", " c"), found[1]),
    ]


@pytest.mark.parametrize(("context", "continuation"), [([], [70]), ([70], [])])
def test_nothing_before_or_nothing_after_is_refused(model: Any, context: list[int], continuation: list[int]) -> None:
    with pytest.raises(DataError, match="no token before, or none in its continuation"):
        model._loglikelihood_tokens([(None, context, continuation)])


@pytest.mark.parametrize("length", [1, CONTEXT - 1, CONTEXT, CONTEXT + 1, 3 * CONTEXT + 5])
def test_every_token_of_a_long_text_counts_once(model: Any, oracle: Any, length: int) -> None:
    """Windows do not overlap: each begins with the last token of the one before and knows nothing else of it."""
    text = "".join(chr(ord("a") + k * k % 26) for k in range(length))
    tokens = model.tok_encode(text)
    total, before = 0.0, model.prefix_token_id
    for start in range(0, (len(tokens) - 1) // CONTEXT * CONTEXT + 1, CONTEXT):
        window = tokens[start : start + CONTEXT]
        context = [before]
        if len(window) < CONTEXT and start:  # the last window looks back as far as the context allows
            context = tokens[: start + len(window)][-(CONTEXT + 1) : -len(window)]
        logp, _ = token_logprobs(oracle, [*context, *window])
        total += sum(logp[-len(window) :])
        before = window[-1]
    assert model.loglikelihood_rolling([request(text)]) == [pytest.approx(total, abs=1e-3)]
    assert model.cache_hook.partials[0][:2] == ("loglikelihood_rolling", (text,))


# generation ------------------------------------------------------------------------------------------------


def test_replies_are_cut_at_the_first_stop_in_the_order_of_requests(model: Any) -> None:
    plain = {"max_gen_toks": 12, "do_sample": False}
    (text,) = model.generate_until([request("A colour:", plain)])
    stop = text[3]
    stops: list[Any] = [stop, [stop], ["not in it", stop], [], None]
    found = model.generate_until([request("A colour:", plain | {"until": s}) for s in stops])
    cut = text[: text.index(stop)]
    assert found == [cut, cut, cut, text, text]


def test_a_prompt_that_is_too_long_loses_its_beginning_and_an_empty_one_begins_a_text(model: Any) -> None:
    settings = {"max_gen_toks": 4}
    tail = "y" * (CONTEXT - 4)
    long, short = (model.generate_until([request(text, settings)]) for text in ("x" * 100 + tail, tail))
    assert long == short
    (reply,) = model.generate_until([request("", settings)])
    begun = generate(model.policy.role, [[model.prefix_token_id]], model.encoder, greedy(4), rng=[0])
    assert reply == model.encoder.text(begun[0][0].tokens)


def test_no_room_for_a_prompt_is_refused(model: Any) -> None:
    with pytest.raises(DataError, match=rf"{CONTEXT} new tokens leave no room in a context of {CONTEXT}"):
        model.generate_until([request("a", {"max_gen_toks": CONTEXT})])


@pytest.mark.parametrize(
    ("settings", "decoding"),
    [
        ({}, SamplingConfig(max_new_tokens=256, temperature=0.0)),
        ({"max_new_tokens": 5}, SamplingConfig(max_new_tokens=5, temperature=0.0)),
        ({"max_gen_toks": 6, "max_tokens": 5}, SamplingConfig(max_new_tokens=6, temperature=0.0)),
        ({"do_sample": False, "temperature": 0.7}, SamplingConfig(max_new_tokens=256, temperature=0.0)),
        ({"do_sample": True}, SamplingConfig(max_new_tokens=256, temperature=1.0)),
        ({"do_sample": True, "temperature": 0.0}, SamplingConfig(max_new_tokens=256, temperature=0.0)),
        ({"temperature": 0.7}, SamplingConfig(max_new_tokens=256, temperature=0.7)),
        (
            {"temperature": 0.7, "top_p": 0.9, "top_k": 5},
            SamplingConfig(max_new_tokens=256, temperature=0.7, top_p=0.9, top_k=5),
        ),
        ({"temperature": 0.7, "top_k": 0}, SamplingConfig(max_new_tokens=256, temperature=0.7)),
    ],
)
def test_a_request_is_decoded_as_it_says(bridge: Any, settings: dict[str, Any], decoding: SamplingConfig) -> None:
    assert bridge._sampling(settings, 256) == decoding


def test_draws_differ_by_seed_and_repeat_with_it(bridge: Any, policy: LocalPolicy) -> None:
    requests = [request("Once", {"temperature": 1.0, "max_gen_toks": 8})] * 2
    found = [bridge.PolicyLM(policy, seed=seed).generate_until(requests) for seed in (0, 0, 5)]
    assert found[0] == found[1] != found[2]
    assert found[0][0] != found[0][1]  # the same prompt twice is two draws


@pytest.mark.parametrize(
    ("text", "stops", "before"),
    [
        ("one. two. three", ["."], "one"),
        ("one two \n three", ["\n"], "one two "),  # the blank is the model's
        ("one two", ["\n", ""], "one two"),
        ("a;b.c", [".", ";"], "a"),
        (". a", ["."], ""),
    ],
)
def test_text_before_a_stop_keeps_its_blanks(bridge: Any, text: str, stops: list[str], before: str) -> None:
    assert bridge._before(text, stops) == before


# what the harness asks of a model --------------------------------------------------------------------------


def test_lengths_and_special_tokens_are_the_tokenizers(model: Any, policy: LocalPolicy) -> None:
    tokenizer = policy.encoder.tokenizer
    assert (model.max_length, model.max_gen_toks) == (CONTEXT, 256)
    assert model.eot_token_id == tokenizer.eos_token_id
    expected_prefix = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    assert model.prefix_token_id == expected_prefix
    assert "/" not in model.tokenizer_name


def test_a_chat_is_rendered_as_our_evaluations_render_it(model: Any, policy: LocalPolicy) -> None:
    from preflab.data.dialogue import Dialogue

    text = model.apply_chat_template([{"role": "user", "content": "hi"}])
    assert tuple(model.tok_encode(text)) == policy.encoder.prompt(Dialogue.of("hi"))
    assert model.chat_template() is None and model.chat_template(True)
    begun = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "The"}]
    assert model.apply_chat_template(begun, add_generation_prompt=False) == text + "The"
