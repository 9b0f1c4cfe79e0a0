"""OpenAI's chat protocol as servers speak it: what is asked, and what may come back.

A reply's text may be text, a list of parts, or null beside a refusal, a tool call or a thought. Values only: nothing
is sent here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.errors import ConfigError
from preflab.rollouts.servers.remote import ServerConfig

NO_TEXT = "the server answered without a text"
TOOL_CALL = "the server answered with a tool call and no text"
ONLY_REASONING = "the server answered with a thought and no text"


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """How a chat endpoint is spoken to: the same for policies, judges, samplers and the site."""

    server: ServerConfig = field(default_factory=lambda: ServerConfig(api_key_variable="OPENAI_API_KEY"))
    """Time limits, retries, requests at once, and the environment variable with the key."""
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the endpoint calls the most tokens of a reply; newer models of OpenAI know only the second."""
    thinking_tokens: int = 0
    """Room for thoughts beside what the reply itself may take: a model that thinks first is cut short without it."""
    send_seed: bool = True
    """Whether a seed is sent; some endpoints refuse the field."""
    extra_body: str = ""
    """A JSON object whose fields are added to every request: ``{"top_k": 20}``. null takes a field out of it."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 0, "thinking_tokens")
        self.extra_fields()

    def extra_fields(self) -> dict[str, Any]:
        """``extra_body`` as fields.

        Raises:
            ConfigError: it is no JSON object.
        """
        try:
            fields_ = json.loads(self.extra_body or "{}")
        except ValueError:
            fields_ = None
        if not isinstance(fields_, dict):
            raise ConfigError(
                f'extra_body: expected a JSON object such as {{"top_k": 20}}, found {self.extra_body!r:.100}'
            )
        return fields_

    def body(self, fields_: Mapping[str, Any], *, max_new_tokens: int, seed: int | None) -> dict[str, Any]:
        """A request: these fields, the limit under its name, the seed where it is sent, and the extra fields."""
        limit: dict[str, Any] = {self.token_limit: max_new_tokens + self.thinking_tokens}
        seeds: dict[str, Any] = {} if seed is None or not self.send_seed else {"seed": seed % 2**31}
        body: dict[str, Any] = {**fields_, **limit, **seeds, **self.extra_fields()}
        return {name: value for name, value in body.items() if value is not None}


def chat_base(url: str) -> tuple[str, str]:
    """The address of a server, and the path before ``/chat/completions`` on it.

    An address without a path, or one that ends in ``/v1``, is OpenAI's and vLLM's layout. Any other path is taken as
    it stands: ``https://host/v1beta/openai`` is asked at ``/v1beta/openai/chat/completions``.
    """
    base = url.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    if base.endswith("/v1"):
        return base.removesuffix("/v1"), "/v1"
    return (base, "") if urlsplit(base).path.strip("/") else (base, "/v1")


@dataclass(frozen=True, slots=True)
class ChatChoice:
    """One reply of a server."""

    text: str
    finish_reason: str | None
    tokens: int | None
    refused: bool
    """Whether the server says that the model declined, or that a filter kept the reply back."""
    no_text: str = ""
    """Why there is no text, as a fixed phrase."""


def content_text(content: object) -> str | None:
    """The text of a message's content: text, or the texts of a list of parts; None where it has none."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [
            part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)
        ]
        texts = [part for part in parts if isinstance(part, str)]
        return "".join(texts) if texts else None
    return None


def read_choice(body: object) -> ChatChoice | None:
    """The first choice of a server's response; None where the response is none of the protocol's."""
    if not isinstance(body, Mapping):
        return None
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        return None
    text, refusal = content_text(message.get("content")), message.get("refusal")
    usage, finish = body.get("usage"), choice.get("finish_reason")
    tokens = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    refused = finish == "content_filter" or (isinstance(refusal, str) and bool(refusal.strip()))
    no_text = ""
    if text is None and not refused:
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        no_text = TOOL_CALL if message.get("tool_calls") else ONLY_REASONING if reasoning else NO_TEXT
    return ChatChoice(
        text=text or (refusal if isinstance(refusal, str) else "") or "",
        finish_reason=finish if isinstance(finish, str) else None,
        tokens=tokens if isinstance(tokens, int) else None,
        refused=refused,
        no_text=no_text,
    )


def error_of(body: object) -> object:
    """The error that a response holds in place of a reply, whatever its status; None without one."""
    return body.get("error") if isinstance(body, Mapping) and not body.get("choices") else None
