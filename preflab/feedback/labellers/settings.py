"""What all labellers share: how they are named, their settings read, and models opened for them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from preflab.config_overrides import apply_overrides
from preflab.data.comparison import Comparison
from preflab.errors import ConfigError, DataError
from preflab.interfaces import Scorer
from preflab.rollouts.requests.responders import Responder
from preflab.rollouts.requests.response_cache import ResponseCache
from preflab.rollouts.servers.chat_protocol import EndpointConfig

S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Openers:
    """Functions that open models by name. They come from a higher floor, which knows runs and devices."""

    scorer: Callable[[str], tuple[Scorer, str]]
    """A folder, a run or a name -> the preference model, and the digest of its weights."""
    responder: Callable[[str, str | None, EndpointConfig | None], Responder]
    """A name or an address, what a server calls the model, and how it is spoken to -> the language model."""
    cache: ResponseCache
    """Where responses are kept, so that a second pass asks nothing twice."""
    on_progress: Callable[[int, int], None] | None = None
    """Hears of pairs that are judged, and of pairs that were asked, from a labeller that waits for its answers."""


def read_settings(defaults: S, settings: Mapping[str, str], kind: str) -> S:
    """A labeller's settings with some replaced, as `apply_overrides` does it.

    Raises:
        ConfigError: a setting is unknown, of another type, or refused; the labeller is named.
    """
    try:
        return apply_overrides(defaults, settings)
    except ConfigError as error:
        raise ConfigError(f"{kind}: {error}") from error


def labeller_name(spec: str, *depends_on: object) -> str:
    """A labeller's name: its specification, and a digest of everything else that its labels depend on."""
    plain = json.dumps(depends_on, sort_keys=True, default=str)
    return f"{spec}@{hashlib.sha256(plain.encode(errors='surrogatepass')).hexdigest()[:12]}"


def two_replies(pair: Comparison) -> tuple[str, str]:
    """The replies of a pair.

    Raises:
        DataError: there are more than two.
    """
    if len(pair.replies) != 2:
        raise DataError(f"a labeller judges pairs, got {len(pair.replies)} replies", field="replies")
    first, second = pair.replies
    return first, second
