"""Settings of the recipe ``evaluate``, and the scales at which it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.errors import ConfigError
from preflab.models.load import Precision
from preflab.recipes.common.open_models import is_address
from preflab.rollouts.servers.chat_protocol import EndpointConfig

RESUME_MAY_CHANGE = (
    *("device", "suites", "limit", "data", "splits", "cache", "runs"),
    *("endpoint", "judge", "judge_served_name", "judge_endpoint", "pm"),
)
"""Settings that may differ when a run is taken up again: suites may be added; one whose settings changed is done anew
from the answers that are kept."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything a run depends on; saved beside its results."""

    policy: str = "smollm2"
    """What is measured: a run, ``smollm2``, ``tiny``, a folder, a .gguf file, a hub id, or the address of a server."""
    served_name: str | None = None
    """What the server calls the model."""
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    """How the policy's server is spoken to."""
    best_of: int = 1
    """Replies drawn of which the preference model's best counts."""
    pm: str | None = None
    """A run with a preference model, or such a model's folder; the policy's own run where it has one."""
    judge: str | None = None
    """Who judges replies, named as ``policy`` is."""
    judge_served_name: str | None = None
    """What the judge's server calls it."""
    judge_endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    """How the judge's server is spoken to; it may have a key, limits and fields of its own."""
    suites: tuple[str, ...] = ("starter",)
    """Names, each with ``:variant`` where it is not the default one; ``all`` for every suite."""
    data: tuple[str, ...] = ()
    """Folders in which data sets lie, and ``suite=path`` for one of them; from the hub where none is given."""
    splits: tuple[str, ...] = ()
    """``suite=split`` for each suite of which another split than the default is to be read: ``mmlu=validation``."""
    limit: int | None = None
    """Items of each suite at most, whole groups drawn by the seed."""
    seed: int = 0
    precision: Precision = "auto"
    device: str = "auto"
    max_context_tokens: int = 2048
    """Longest prompt and answer together; the model's own limit if that is shorter."""
    cache: bool = True
    """Keep answers beside the runs, so that what any run asked is not asked again; otherwise in the run alone."""
    runs: str = "runs"
    """The folder in which runs lie that ``policy``, ``pm`` and ``judge`` may name."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "best_of", "limit")
        check_at_least(self, 32, "max_context_tokens")
        if not self.suites:
            raise ConfigError("suites: name at least one, or 'all'")

    def unread(self) -> dict[str, str]:
        """Settings that nothing reads under the others, and because of which."""
        dead: dict[str, str] = {}
        if not is_address(self.policy):
            dead |= dict.fromkeys(("served_name", "endpoint"), f"policy={self.policy}, which is no server")
        if self.judge is None or not is_address(self.judge):
            dead |= dict.fromkeys(("judge_served_name", "judge_endpoint"), f"judge={self.judge}, which is no server")
        return dead


def default() -> Config:
    """The starter suites, which come with the package: under a minute a model on two cores."""
    return Config()


def smoke() -> Config:
    """A random two-layer model and a few items: proves the plumbing and nothing else, in seconds."""
    return replace(default(), policy="tiny", limit=8, precision="fp32", cache=False)


SCALES: dict[str, Callable[[], Config]] = {"default": default, "smoke": smoke}
