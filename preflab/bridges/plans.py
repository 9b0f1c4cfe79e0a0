"""One item's plan, run by a responder that takes one request at a time."""

from collections.abc import Awaitable, Callable

from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult
from preflab.evals.core.suite import Suite, Variant
from preflab.rollouts.requests.types import Failure, Request, Response, UnreadableResponse

RespondToOne = Callable[[Request], Awaitable[Response]]


async def run_plan(variant: Variant, item: Item, respond: RespondToOne) -> ItemResult:
    """Ask one item of a suite; as ``evals.core.runner.run_items`` does it for many."""
    result, plan = ItemResult(item), variant.plan(item)
    try:
        requests = next(plan)
        while True:
            responses = [await respond(request) for request in requests]
            result.rounds.append((requests, responses))
            failure = next((response for response in responses if isinstance(response, Failure)), None)
            requests = plan.send(responses) if failure is None else plan.throw(UnreadableResponse(failure.reason))
    except StopIteration as done:
        result.outcome = done.value
    except UnreadableResponse as error:
        result.failed = str(error)
    return result


def choose_variant(suite: Suite, name: str | None, *, logprobs: bool) -> Variant:
    """The variant of that name; without one the default, or the first that reads replies where there are no others.

    Args:
        logprobs  whether log-probabilities of given options can be had.

    Raises:
        ConfigError: there is no such variant.
    """
    if name or logprobs:
        return suite.variant(name or None)
    generated = (variant for variant in suite.variants if not variant.logprobs and "pm" not in variant.roles)
    return next(generated, suite.variants[0])
