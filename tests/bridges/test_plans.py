"""One item's plan, run one request at a time."""

import asyncio

from preflab.bridges.plans import choose_variant, run_plan
from preflab.evals.core.items import Item
from preflab.evals.core.suite import Plan, Variant
from preflab.evals.suites.capabilities import mmlu
from preflab.rollouts.requests.types import Failure, Generate, Generation, Request, Response

ITEM = Item(id="q", group="g", data=None)


def two_rounds(item: Item) -> Plan:
    (first,) = yield [Generate(prompt="one")]
    second, third = yield [Generate(prompt=first.require_text()), Generate(prompt="three")]
    return {"said": f"{second.text} {third.text}"}


async def repeat(ask: Request) -> Response:
    assert isinstance(ask, Generate)
    return Generation(f"<{ask.prompt}>")


async def refuse(ask: Request) -> Response:
    assert isinstance(ask, Generate)
    return Failure("refused") if ask.prompt == "three" else Generation(str(ask.prompt))


WAY = Variant(name="w", summary="", plan=two_rounds)


def test_rounds_follow_one_another() -> None:
    told = asyncio.run(run_plan(WAY, ITEM, repeat))
    assert told.outcome == {"said": "<<one>> <three>"} and told.failed is None
    assert [len(asks) for asks, _ in told.rounds] == [1, 2]


def test_an_answer_that_failed_makes_the_item_unscorable() -> None:
    told = asyncio.run(run_plan(WAY, ITEM, refuse))
    assert told.outcome is None and told.failed == "refused"


def test_a_model_without_log_probabilities_is_asked_in_the_way_that_reads_replies() -> None:
    assert choose_variant(mmlu.SUITE, None, logprobs=True).name == "five-shot"
    assert choose_variant(mmlu.SUITE, None, logprobs=False).name == "sampled"
    assert choose_variant(mmlu.SUITE, "chat", logprobs=False).name == "chat"
