"""Our policies as models of Inspect: ``--model preflab/RUN``, ``preflab/smollm2``, ``-M best_of=16 -M pm=RUN``.

Greedy where no temperature is asked for. Replies are given one after another: the model is in this process.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Any

import anyio.to_thread
from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput, ModelUsage, modelapi

from preflab.data.dialogue import Dialogue, Message
from preflab.errors import ConfigError, DataError
from preflab.recipes.common.open_models import ModelLoading, has_preference_model, open_policy
from preflab.rollouts.requests.responders import Responder
from preflab.rollouts.requests.types import Failure, Generate, Generation, Request, Response

ROLES = {"system": "system", "user": "user", "assistant": "assistant"}


def dialogue_of(messages: Sequence[Any]) -> tuple[Dialogue, str]:
    """Inspect's messages as a prompt, and the words of a last message of the assistant, which the reply goes on from.

    Raises:
        DataError: a tool speaks, or nobody has spoken.
    """
    if unknown := {message.role for message in messages} - set(ROLES):
        raise DataError(f"a policy of preflab has no tools, and cannot read messages of {', '.join(sorted(unknown))}")
    turns = [Message(message.role, message.text) for message in messages]
    lead = turns.pop().text if turns and turns[-1].role == "assistant" else ""
    if not turns:
        raise DataError("there is no message to answer")
    return Dialogue(tuple(turns)), lead


class PreflabAPI(ModelAPI):  # type: ignore[misc]
    """A run folder's policy, a model by name, or the best of several of its replies.

    Inspect calls it with the first four arguments; the others are ours, given as ``-M name=value``.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: Any = GenerateConfig(),  # noqa: B008
        best_of: int = 1,
        pm: str | None = None,
        runs: str = "runs",
        **more: Any,
    ) -> None:
        super().__init__(model_name=model_name, base_url=base_url, api_key=api_key, api_key_vars=[], config=config)
        pm = pm or (model_name if best_of > 1 and has_preference_model(model_name, runs) else None)
        served_name = more.pop("served_name", None)
        loading = ModelLoading(runs=runs, **more)
        self.responder: Responder = open_policy(
            model_name, loading, served_name=served_name, best_of=int(best_of), pm=pm
        )
        self._lock, self._draws = Lock(), 0

    def max_connections(self) -> int:
        """One at a time."""
        return 1

    async def respond(self, request: Request, seed: int = 0) -> Response:
        """The response to any request of our evaluations, log-probabilities of given words among it."""
        return await anyio.to_thread.run_sync(self._respond, request, seed)

    def _respond(self, request: Request, seed: int) -> Response:
        if request.kind not in self.responder.kinds:
            return Failure(f"{self.responder.name} cannot be asked this")
        with self._lock:
            return next(response for _, response in self.responder.respond([request], seed=seed))

    async def generate(self, input: list[Any], tools: list[Any], tool_choice: Any, config: Any) -> Any:
        """One reply."""
        if tools:
            raise ConfigError("a policy of preflab has no tools")
        prompt, lead = dialogue_of(input)
        temperature = float(config.temperature or 0.0)
        drawn = temperature > 0 or self.responder.name.startswith("best of")
        self._draws += drawn
        request = Generate(
            prompt=prompt,
            lead=lead,
            max_new_tokens=256 if config.max_tokens is None else int(config.max_tokens),
            temperature=temperature,
            stop=tuple(config.stop_seqs or ()),
            sample=self._draws if drawn else 0,
        )
        response = await self.respond(request, int(config.seed or 0))
        if not isinstance(response, Generation):
            raise DataError(
                response.reason if isinstance(response, Failure) else "a reply was asked for, none was given"
            )
        output = ModelOutput.from_content(
            self.model_name, response.text, stop_reason="stop" if response.finished else "max_tokens"
        )
        output.usage = ModelUsage(output_tokens=response.tokens or 0, total_tokens=response.tokens or 0)
        return output


@modelapi(name="preflab")  # type: ignore[untyped-decorator]
def preflab_models() -> type[PreflabAPI]:
    """What ``preflab/...`` names."""
    return PreflabAPI
