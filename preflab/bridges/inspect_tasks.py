"""Our suites as tasks of Inspect: ``inspect eval preflab/bbq --model preflab/smollm2 -T data=FOLDER -T limit=100``.

The plan of an item runs inside a solver: what it asks becomes calls of the model under test, or of the model in the
role ``judge``. Log-probabilities of given words come from models named ``preflab/...`` alone; any other model is asked
in the suite's way that reads replies. The scorer keeps the whole outcome, its metric computes the suite's measures.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, GenerateConfig, get_model
from inspect_ai.scorer import Score, metric, scorer
from inspect_ai.solver import solver

from preflab.bridges.inspect_model import PreflabAPI
from preflab.bridges.inspect_samples import sample_of
from preflab.bridges.plans import followed, way_for
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.evals.core.runner import ItemResult, measure_results, select_items
from preflab.evals.core.suite import Item
from preflab.evals.suites import SUITES
from preflab.recipes.common.open_models import open_rater
from preflab.recipes.evaluate.stages import shelf_of
from preflab.rollouts.requests.responders import Responder
from preflab.rollouts.requests.types import Failure, Generate, Generation, Request, Response, ScoreReplies

LINE = "preflab"
"""Where a sample keeps what was asked and answered, and what came of it: a line of ``items/<suite>.jsonl``."""
_MESSAGES = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}


def messages_of(ask: Generate) -> list[Any]:
    """An ask as Inspect's messages; words to begin with are a last message of the assistant."""
    prompt = ask.prompt if isinstance(ask.prompt, Dialogue) else Dialogue.of(ask.prompt)
    found = [_MESSAGES[own.role](content=own.text) for own in prompt.messages]
    return [*found, ChatMessageAssistant(content=ask.lead)] if ask.lead else found


async def _answered(ask: Request, rater: Responder | None) -> Response:
    """By the model under test, the model in the role of the judge, or the preference model."""
    if isinstance(ask, ScoreReplies):
        if rater is None:
            raise ConfigError("this way asks a preference model; -T pm=RUN names one")
        return next(answer for _, answer in rater.answers([ask]))
    model = get_model() if ask.whom == "policy" else get_model(role="judge")
    if isinstance(model.api, PreflabAPI):
        return await model.api.answer(ask)  # type: ignore[no-any-return]
    if not isinstance(ask, Generate):
        return Failure("log-probabilities cannot be asked of this respondent")
    if ask.lead:
        return Failure("this model cannot be given a beginning")
    config = GenerateConfig(
        max_tokens=ask.max_new_tokens, temperature=ask.temperature, stop_seqs=list(ask.stop) or None
    )
    output = await model.generate(messages_of(ask), config=config)
    usage = output.usage.output_tokens if output.usage else None
    return Generation(output.completion, usage, output.empty or output.stop_reason != "max_tokens")


@solver(name="plan")  # type: ignore[untyped-decorator]
def plan_solver(suite: str, way: str, pm: str = "", runs: str = "runs", items: Any = None) -> Any:
    """Follow an item's plan to its outcome."""
    known: Mapping[str, Item] = items or {}
    own = SUITES[suite].way(way)
    rater = open_rater(pm, runs=runs) if pm else None

    async def solve(state: Any, generate: Any) -> Any:
        told = await followed(own, known[str(state.sample_id)], lambda ask: _answered(ask, rater))
        line = told.to_json()
        fields = sample_of(line, model=str(state.model))
        state.messages = [_MESSAGES[m["role"]](content=m["content"]) for m in fields["messages"]] or state.messages
        state.store.set(LINE, line | {"suite": suite})
        state.output.completion = fields["messages"][-1]["content"] if fields["messages"] else ""
        return state

    return solve


@metric(name="measures")  # type: ignore[untyped-decorator]
def suite_measures() -> Any:
    """The suite's measures over all scored items."""

    def compute(scores: Sequence[Any]) -> dict[str, float]:
        lines = [own.score.metadata or {} for own in scores]
        told = [
            ItemResult(Item(id=str(n), group=line["group"], data=None), [], line["outcome"])
            for n, line in enumerate(lines)
            if line.get("outcome") is not None
        ]
        if not told:
            return {}
        found = measure_results(SUITES[lines[0]["suite"]].measures, told)
        return {m.name: m.estimate.value for m in found if not m.column and m.estimate is not None}

    return compute


@scorer(metrics=[suite_measures()], name="outcome")  # type: ignore[untyped-decorator]
def outcome_scorer() -> Any:
    """What came of an item: whether it is right if a suite knows that, else its first number; all in the metadata."""

    async def score(state: Any, target: Any) -> Any:
        line = state.store.get(LINE)
        facts = {"suite": line["suite"], "group": line["group"], "outcome": line.get("outcome")}
        if facts["outcome"] is None:
            return Score.unscored(reason=line["failed"], explanation=line["failed"], metadata=facts)
        numbers = {k: float(v) for k, v in facts["outcome"].items() if isinstance(v, bool | int | float)}
        value = numbers.get("correct", next(iter(numbers.values()), math.nan))
        return Score(value=value, answer=state.output.completion, metadata=facts)

    return score


def _task_of(name: str) -> Callable[..., Any]:
    """The task of one suite."""

    def make(
        data: str = "", limit: int | None = None, way: str = "", seed: int = 0, pm: str = "", runs: str = "runs"
    ) -> Any:
        suite = SUITES[name]
        own = way_for(suite, way, logprobs=isinstance(get_model().api, PreflabAPI))
        loaded = suite.load(shelf_of(tuple(part for part in data.split(",") if part)))
        items = select_items(loaded.items, limit, seed)
        samples = [Sample(id=item.id, input=item.id, metadata={"group": item.group}) for item in items]
        return Task(
            dataset=MemoryDataset(samples, name=suite.name),
            solver=plan_solver(name, own.name, pm, runs, {item.id: item for item in items}),
            scorer=outcome_scorer(),
            name=f"preflab/{name}",
            metadata={"way": own.name, "data": loaded.digest},
        )

    make.__doc__ = SUITES[name].summary
    make.__name__ = make.__qualname__ = name
    registered: Callable[..., Any] = task(name=name)(make)
    return registered


TASKS = {name: _task_of(name) for name in SUITES}
"""Suite -> its task."""
