"""A chat endpoint: one model on one server, asked whether it answers at all, and what it serves."""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

from preflab.data.dialogue import Dialogue
from preflab.errors import SamplerError
from preflab.rollouts.servers.chat_protocol import ChatChoice, EndpointConfig, chat_base, error_of, read_choice
from preflab.rollouts.servers.remote import Server, ServerResponse

PROBES = ("Count from one to ten in words.", "Name three animals.", "Write a sentence about rain.")
PROBE_TOKENS = 16
_VOLATILE = frozenset({"permission", "object"})
_JUST_NOW_SECONDS = 120
"""A model "created" so shortly ago was dated when it was asked about."""


class ChatEndpoint:
    """One model behind OpenAI's chat protocol.

    Raises:
        ConfigError: the address is none, or holds a password.
    """

    def __init__(self, url: str, model: str, config: EndpointConfig | None = None) -> None:
        self.config, self.model = config or EndpointConfig(), model
        base, self.prefix = chat_base(url)
        self.server = Server(base, self.config.server)
        self.url = f"{self.server.url}{self.prefix}"

    def post(
        self, dialogue: Dialogue, *, temperature: float, max_new_tokens: int, seed: int | None, stop: Sequence[str] = ()
    ) -> ServerResponse:
        """The response to one dialogue; an error that stands in a response of status 200 has its own status or 400.

        Raises:
            SamplerError: the server is gone, slow, or stays busy.
        """
        fields_: dict[str, Any] = {
            "model": self.model,
            "messages": dialogue.to_json(),
            "temperature": temperature,
            "stop": list(stop) or None,
        }
        body = self.config.body(fields_, max_new_tokens=max_new_tokens, seed=seed)
        return self.server.post(f"{self.prefix}/chat/completions", body)

    def choice(self, response: ServerResponse) -> ChatChoice | None:
        """The reply of a response; None where it refuses or holds none."""
        return read_choice(response.body) if response.ok and error_of(response.body) is None else None

    def refusal(self, response: ServerResponse) -> SamplerError:
        """An error with the server's own words."""
        return self.server.complaint(
            f"{self.prefix}/chat/completions refuses model {self.model!r}", expected="a reply", actual=response.message
        )

    def identity(self) -> str:
        """A digest of what is served: the model's entry in the server's list, and greedy replies to a few prompts.

        It changes when another checkpoint is served under the same name. Prompts that a server answers in two ways
        when asked twice are left out of it, as are dates that it makes up when asked.

        Raises:
            SamplerError: the server is gone or refuses whatever it is asked; in its own words.
        """
        responses = [self._greedy(prompt) for prompt in PROBES for _ in range(2)]
        choices = [self.choice(response) for response in responses]
        if all(choice is None for choice in choices):
            raise self.refusal(responses[0])
        replies = [
            first.text
            for first, second in zip(choices[::2], choices[1::2], strict=True)
            if first is not None and second is not None and first.text == second.text
        ]
        facts = json.dumps([self._listed(), replies], sort_keys=True, default=str)
        return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:24]

    def _greedy(self, prompt: str) -> ServerResponse:
        return self.post(Dialogue.of(prompt), temperature=0.0, max_new_tokens=PROBE_TOKENS, seed=0)

    def _listed(self) -> dict[str, Any]:
        """The model's entry in the list of models; empty where the server has no such list."""
        response = self.server.get(f"{self.prefix}/models")
        models = response.body.get("data") if response.ok and isinstance(response.body, dict) else None
        for card in models if isinstance(models, list) else []:
            if isinstance(card, dict) and card.get("id") == self.model:
                created = card.get("created")
                just_now = isinstance(created, int) and abs(time.time() - created) < _JUST_NOW_SECONDS
                volatile = _VOLATILE | ({"created"} if just_now else frozenset())
                return {name: value for name, value in card.items() if name not in volatile}
        return {}
