"""Settings that several recipes have: the model and the comparisons."""

from dataclasses import dataclass, field

from preflab.checks import check_at_least
from preflab.config_overrides import check_types
from preflab.data.sources.columns import ColumnMap
from preflab.errors import ConfigError
from preflab.feedback.labellers.specs import parse_spec
from preflab.models.adapters import AdapterConfig
from preflab.models.load import Precision


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The language model that all roles of a run start from."""

    policy: str = "smollm2"
    """``smollm2``, ``tiny``, a folder, a .gguf file, or a hub id."""
    precision: Precision = "auto"
    """bf16 where the machine multiplies it in hardware, otherwise fp32."""
    device: str = "auto"
    """``cpu``, ``cuda`` or ``cuda:1``; ``auto`` takes a GPU if there is one. It may differ when the run goes on."""
    max_context_tokens: int = 1024
    """Longest prompt and reply together; the model's own limit if that is shorter."""
    full_finetune: bool = False
    """Train whole copies of the model, one a role, in place of adapters on one shared trunk."""
    adapters: AdapterConfig = field(default_factory=lambda: AdapterConfig(rank=16, alpha=32.0, top_layers=12))

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "max_context_tokens")

    def unread(self) -> dict[str, str]:
        """Settings of a recipe's ``model`` that nothing reads, and because of which."""
        return {"model.adapters": "model.full_finetune=true"} if self.full_finetune else {}


@dataclass(frozen=True, kw_only=True)
class ComparisonDataConfig:
    """The comparisons of a run."""

    comparisons: str = "starter"
    """``starter``, a file or folder of comparisons, or a hub data set."""
    format: str | None = None
    """Of the comparisons; recognised by their columns when not given."""
    columns: tuple[str, ...] = ()
    """Columns under other names or left out, where the data call them otherwise: ``prompt=title``, ``ignore=notes``."""
    split: str | None = None
    """Which part of a data set that has parts."""
    max_comparisons: int | None = None
    """Use only so many, drawn at random by the seed."""
    held_out_share: float = 0.2
    """Share of the comparisons kept for measuring; no prompt is on both sides."""
    judge: str | None = None
    """Who labels the comparisons anew before anything is fitted: ``human[:STUDY]``, ``pm:FOLDER_OR_RUN``,
    ``model:NAME_OR_URL``, ``rules:FILE`` or ``oracle:CRITERION``, with ``,setting=value`` behind it; none: the labels
    that they come with. docs/judges.md."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "max_comparisons")
        if self.judge is not None:
            parse_spec(self.judge)
        ColumnMap(self.columns)
        if not 0 < self.held_out_share < 1:
            raise ConfigError(f"held_out_share must lie between 0 and 1, got {self.held_out_share}")
