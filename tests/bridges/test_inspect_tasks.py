"""Our suites in Inspect. The plans are run_plan without it; the rest needs PREFLAB_INSPECT_PYTHON."""

import asyncio
from pathlib import Path

import pytest

from preflab.bridges.plans import choose_variant, run_plan
from preflab.evals.core.items import Item
from preflab.evals.core.suite import Plan, Variant
from preflab.evals.suites.capabilities import mmlu
from preflab.rollouts.requests.types import Failure, Generate, Generation, Request, Response
from tests.bridges.interpreters import interpreter, told_by

PROGRAM = Path(__file__).with_name("inspect_tasks_program.py")
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


def test_inspect_finds_our_suites_and_measures_what_we_measure(tmp_path: Path) -> None:
    found = told_by(interpreter("INSPECT"), PROGRAM, tmp_path)
    assert found["status"] == "success", found["error"]
    assert found["ids"] == found["expected_ids"]
    for name, value in found["expected"].items():
        assert found["metrics"][name] == pytest.approx(value, abs=1e-6)
    other = found["other"]
    assert other["status"] == "success", other["error"]
    # said A, C and D where A, B and D are right; the third names nothing and is neither right nor wrong
    assert other["way"] == "sampled" and other["metrics"]["accuracy"] == pytest.approx(2 / 3)
    assert other["unscored"] == ["q2"]
    assert found["kinds"] == ["choose", "speak"] and found["greedy"] and found["stopped"] in ("stop", "max_tokens")
