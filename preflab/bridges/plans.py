"""One item's plan, followed by whoever can be asked one thing at a time."""

from collections.abc import Awaitable, Callable

from preflab.evals.core.runner import ItemResult
from preflab.evals.core.suite import Item, Suite, Variant
from preflab.rollouts.requests.types import Failure, Request, Response, Unscorable

AnswerOne = Callable[[Request], Awaitable[Response]]


async def followed(way: Variant, item: Item, answer: AnswerOne) -> ItemResult:
    """Ask one item of a suite; as ``evals.runner.run_items`` does it for many."""
    told, plan = ItemResult(item), way.plan(item)
    try:
        asks = next(plan)
        while True:
            answers = [await answer(ask) for ask in asks]
            told.rounds.append((asks, answers))
            bad = next((own for own in answers if isinstance(own, Failure)), None)
            asks = plan.send(answers) if bad is None else plan.throw(Unscorable(bad.reason))
    except StopIteration as done:
        told.outcome = done.value
    except Unscorable as error:
        told.failed = str(error)
    return told


def way_for(suite: Suite, name: str | None, *, logprobs: bool) -> Variant:
    """The way of that name; without one the default, or the first that reads replies where they are all there is.

    Raises:
        ConfigError: there is no such way.
    """
    if name or logprobs:
        return suite.way(name or None)
    return next((way for way in suite.ways if not way.logprobs and "pm" not in way.asks), suite.ways[0])
