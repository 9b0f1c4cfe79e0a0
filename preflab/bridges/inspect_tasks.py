"""Our suites as tasks of Inspect: ``inspect eval preflab/bbq --model preflab/smollm2 -T data=FOLDER -T limit=100``.

The plan of an item runs inside a solver: its requests become calls of the model under test, or of the model in the
role ``judge``. Log-probabilities of given words come from models named ``preflab/...`` alone; any other model is asked
in the suite's variant that reads replies. The scorer keeps the whole outcome, its metric computes the suite's measures.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    GenerateConfig,
    get_model,
)
from inspect_ai.scorer import Score, metric, scorer
from inspect_ai.solver import solver

from preflab.bridges.inspect_model import PreflabAPI
from preflab.bridges.inspect_samples import sample_of, shown_question, shown_target
from preflab.bridges.plans import choose_variant, run_plan
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError
from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult, measure_results, select_items
from preflab.evals.suites import SUITES
from preflab.recipes.common.eval_data import parse_data_source
from preflab.recipes.common.open_models import ModelLoading, open_rater
from preflab.rollouts.requests.responders import Responder
from preflab.rollouts.requests.types import Failure, Generate, Generation, Request, Response, ScoreReplies

LINE = "preflab"
"""Where a sample keeps its requests, responses and outcome: a line of ``items/<suite>.jsonl``."""
_MESSAGES = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
    "tool": ChatMessageTool,
}


def messages_of(request: Generate) -> list[Any]:
    """A request as Inspect's messages; words to begin with are a last message of the assistant."""
    prompt = request.prompt if isinstance(request.prompt, Dialogue) else Dialogue.of(request.prompt)
    messages = [_MESSAGES[message.role](content=message.text) for message in prompt.messages]
    return [*messages, ChatMessageAssistant(content=request.lead)] if request.lead else messages


async def _respond(request: Request, rater: Responder | None) -> Response:
    """The response of the model under test, the model in the role of the judge, or the preference model."""
    if isinstance(request, ScoreReplies):
        if rater is None:
            raise ConfigError("this variant asks a preference model; -T pm=RUN names one")
        return next(response for _, response in rater.respond([request]))
    model = get_model() if request.role == "policy" else get_model(role="judge")
    if isinstance(model.api, PreflabAPI):
        return await model.api.respond(request)  # type: ignore[no-any-return]
    if not isinstance(request, Generate):
        return Failure("log-probabilities cannot be asked of this respondent")
    if request.lead:
        return Failure("this model cannot be given a beginning")
    config = GenerateConfig(
        max_tokens=request.max_new_tokens, temperature=request.temperature, stop_seqs=list(request.stop) or None
    )
    output = await model.generate(messages_of(request), config=config)
    usage = output.usage.output_tokens if output.usage else None
    return Generation(output.completion, usage, output.empty or output.stop_reason != "max_tokens")


@solver(name="plan")  # type: ignore[untyped-decorator]
def plan_solver(suite: str, variant: str, pm: str = "", runs: str = "runs", items: Any = None) -> Any:
    """Run an item's plan to its outcome."""
    items_by_id: Mapping[str, Item] = items or {}
    chosen = SUITES[suite].variant(variant)
    rater = open_rater(pm, ModelLoading(runs=runs)) if pm else None

    async def solve(state: Any, generate: Any) -> Any:
        result = await run_plan(chosen, items_by_id[str(state.sample_id)], lambda request: _respond(request, rater))
        line = result.to_json()
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
        lines = [sample_score.score.metadata or {} for sample_score in scores]
        results = [
            ItemResult(Item(id=str(n), group=line["group"], data=None), [], line["outcome"])
            for n, line in enumerate(lines)
            if line.get("outcome") is not None
        ]
        if not results:
            return {}
        measured = measure_results(SUITES[lines[0]["suite"]].measures, results)
        return {m.name: m.estimate.value for m in measured if not m.column and m.estimate is not None}

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
        data: str = "", limit: int | None = None, variant: str = "", seed: int = 0, pm: str = "", runs: str = "runs"
    ) -> Any:
        suite = SUITES[name]
        chosen = choose_variant(suite, variant, logprobs=isinstance(get_model().api, PreflabAPI))
        loaded = suite.load(parse_data_source([part for part in data.split(",") if part]))
        items = select_items(loaded.items, limit, seed)
        samples = [
            Sample(
                id=item.id,
                input=shown_question(chosen, item),
                target=shown_target(item),
                metadata={"group": item.group},
            )
            for item in items
        ]
        return Task(
            dataset=MemoryDataset(samples, name=suite.name),
            solver=plan_solver(name, chosen.name, pm, runs, {item.id: item for item in items}),
            scorer=outcome_scorer(),
            name=f"preflab/{name}",
            metadata={"variant": chosen.name, "data": loaded.digest},
        )

    make.__doc__ = SUITES[name].summary
    make.__name__ = make.__qualname__ = name
    registered: Callable[..., Any] = task(name=name)(make)
    return registered


TASKS = {name: _task_of(name) for name in SUITES}
"""Suite -> its task."""
