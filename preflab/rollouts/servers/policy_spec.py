"""A policy by description: a model, a run, or a server, and how it is sampled. No weights are loaded here."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from preflab.conversion import from_mapping
from preflab.errors import ConfigError, StudyError
from preflab.rollouts.servers.chat_protocol import EndpointConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """One policy; exactly one of ``model``, ``run`` and ``url`` says where it is."""

    name: str
    """What owners call it. Annotators never see it."""
    model: str | None = None
    """smollm2, tiny, a folder, a .gguf file or a hub id."""
    run: str | None = None
    """A folder of a finished run; its exported policy answers."""
    url: str | None = None
    """Base address of a server that speaks OpenAI's chat protocol; one with a path other than ``/v1`` is taken as it
    stands."""
    served_name: str | None = None
    """What the server calls the model; needed with ``url``."""
    key_env: str | None = None
    """Environment variable that holds the server's key. The key itself is never part of a study."""
    endpoint: EndpointConfig | None = None
    """How the server is spoken to: names of its fields, time limits, retries."""
    system: str | None = None
    """System message before every conversation."""
    temperature: float = 1.0
    max_new_tokens: int = 256
    top_p: float = 1.0
    best_of: int = 1
    """Replies drawn of which the preference model's best is given (rejection sampling, Bai et al. 2022: 16)."""
    scorer: str | None = None
    """Run folder whose preference model chooses; needed where ``best_of`` is above 1."""

    def __post_init__(self) -> None:
        locations = [kind for kind in ("model", "run", "url") if getattr(self, kind)]
        complaint = None
        if not self.name or len(self.name) > 120 or not self.name.isprintable():
            complaint = f"name must have 1 to 120 printable characters, got {self.name!r:.130}"
        elif len(locations) != 1:
            complaint = f"exactly one of model, run and url is needed, got {', '.join(locations) or 'none'}"
        elif self.endpoint and not self.url:
            complaint = "endpoint: only a policy with url has one"
        elif self.url and not self.served_name:
            complaint = "served_name: say what the server calls the model"
        elif not 0 <= self.temperature < math.inf or not 0 < self.top_p <= 1 or self.max_new_tokens < 1:
            complaint = f"temperature, top_p or max_new_tokens out of range, got {self}"
        elif self.best_of < 1 or (self.best_of > 1 and (not self.scorer or self.url)):
            complaint = "best_of above 1 needs a scorer (a run folder) and a local model"
        if complaint:
            raise StudyError(complaint)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "PolicySpec":
        """A policy from plain values.

        Raises:
            StudyError: a field is unknown, missing, or of another type; the message names the policy and the field.
        """
        if "name" not in values:
            raise StudyError("policies: one has no name")
        label = f"policy {values['name'] or '?'!r}"
        try:
            spec = from_mapping(cls, values, settings=True)
            if spec.url:
                from preflab.rollouts.servers.remote import check_address

                check_address(spec.url)
        except ConfigError as error:
            raise StudyError(f"{label}: {error}") from error
        return spec

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is at its default is left out."""
        plain = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != plain[name]}
