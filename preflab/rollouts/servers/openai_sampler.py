"""Any endpoint that speaks OpenAI's chat protocol as a ``Sampler``: text in and text out."""

from collections.abc import Sequence

from preflab.data.dialogue import Dialogue
from preflab.rollouts.servers.chat_endpoint import ChatEndpoint
from preflab.rollouts.servers.chat_protocol import EndpointConfig


class OpenAISampler:
    """A chat endpoint as a ``Sampler``: dialogues in, the same one turn longer out.

    For labels, judges and comparisons. It gives no tokens, and text does not go back into training: what it said
    tokenizes in more than one way (``vllm.VLLMEngine`` gives tokens).
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        temperature: float = 1.0,
        max_new_tokens: int = 256,
        seed: int | None = None,
        config: EndpointConfig | None = None,
    ) -> None:
        self.endpoint = ChatEndpoint(url, model, config)
        self.temperature, self.max_new_tokens, self.seed = temperature, max_new_tokens, seed
        self.calls = 0

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Dialogue]:
        """One reply each, in order; a refusal of the model is a reply.

        Raises:
            SamplerError: the server is gone or slow, refuses a dialogue, or answers without a text.
        """
        numbered = [(self.calls + i, dialogue) for i, dialogue in enumerate(dialogues)]
        self.calls += len(numbered)
        return self.endpoint.server.each(numbered, self._continue)

    def _continue(self, job: tuple[int, Dialogue]) -> Dialogue:
        number, dialogue = job
        seed = None if self.seed is None else self.seed * 1_000_003 + number
        response = self.endpoint.post(
            dialogue, temperature=self.temperature, max_new_tokens=self.max_new_tokens, seed=seed
        )
        choice = self.endpoint.choice(response)
        if choice is not None and choice.text:
            return dialogue.with_reply(choice.text)
        server, model = self.endpoint.server, self.endpoint.model
        if not response.ok or (choice is None and isinstance(response.body, dict) and response.body.get("error")):
            raise server.complaint(
                f"model {model!r} refuses dialogue {number}", expected="a reply", actual=response.message
            )
        raise server.complaint(
            f"dialogue {number} got no reply",
            expected="choices[0].message.content with text",
            actual=f"{response.body!r:.200}",
        )
