"""One trunk, several roles: policy, reference, value and preference models that share their weights.

With adapters (LoRA through peft) every role is a small set of weights on one frozen trunk, and the
reference is the trunk with every adapter off: the live weights the policy started from, at no cost.
Without adapters each role is a full copy. Code that trains or scores sees only a ``Role``.
"""

import contextlib
import copy
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preflab import distributed
from preflab.checks import check_above, check_at_least
from preflab.config_overrides import check_types
from preflab.errors import ConfigError, ModelError
from preflab.models.heads import ScalarHead, token_logprobs
from preflab.models.load import LanguageModel
from preflab.models.parallel import copy_of, put_together, shard, taken_apart
from preflab.models.row_attention.attention import NAME, Placed, Rows, place, run_body
from preflab.models.row_attention.row_support import Probe, check_row_support, linear_names, logit_shape, trunk_of
from preflab.models.shared_layers import LayerSplit, find_split


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Low-rank adapters (Hu et al. 2021) on the linear layers of the upper part of the trunk."""

    rank: int = 16
    alpha: float = 32.0
    """The update is scaled by ``alpha / rank``."""
    top_layers: int | None = None
    """Adapt only this many of the topmost layers; the backward pass stops below them. None: all."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "rank", "top_layers")
        check_above(self, 0, "alpha")


_NOBODY = "?"
"""No role has this name: nobody plays, or it is not known who."""


class Trunk:
    """A language model and the roles that live on it.

    Raises:
        ModelError: the model does not honour masks or positions, or carries adapters already.
    """

    def __init__(self, source: LanguageModel, adapters: AdapterConfig | None, *, seed: int = 0) -> None:
        self.source = source
        self.adapters = adapters
        self.seed = seed
        if any("lora_" in key for key, _ in source.model.named_parameters()):
            raise ModelError(f"{source.name}: this model carries adapters already; load it afresh for another trunk")
        self.model: Any = source.model.requires_grad_(False)
        self._peft: Any = None
        self._copies: dict[str, Any] = {}
        self._heads: dict[str, ScalarHead] = {}
        self._active: str | None = _NOBODY  # the role peft is switched to
        self._playing: str | None = _NOBODY  # the role whose ``playing`` block we are in
        self._body_of: dict[str, str] = {}  # a role that reads another's hidden states -> that other
        self.names: list[str] = []
        self._linear = linear_names(self.model)
        self.model.set_attn_implementation(NAME)
        check_row_support(self.model)
        self._placed: tuple[Rows, Placed] | None = None
        self._split = self._find_split()
        if self.is_sharded:
            shard(self.model)

    @property
    def is_sharded(self) -> bool:
        """Whether models lie in shards over several processes: full copies do, a trunk that adapters share does not."""
        return self.adapters is None and distributed.world_size() > 1

    @property
    def hidden_size(self) -> int:
        """Width of a hidden state."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    def add_role(self, name: str, *, head: bool = False, start_from: str | None = None) -> "Role":
        """A new role: with fresh weights, or with a copy of another's (a value model from the PM).

        Raises:
            ConfigError: the name is taken, or ``start_from`` is not a role or lacks the head that is asked for.
        """
        self._check_name(name)
        if start_from is not None and start_from not in self.names:
            raise ConfigError(f"no role {start_from!r} to start {name!r} from; roles so far: {', '.join(self.names)}")
        if head and start_from is not None and start_from not in self._heads:
            raise ConfigError(f"role {start_from!r} has no scalar head that {name!r} could start from")
        seed = (self.seed * 1_000_003 + zlib.crc32(name.encode())) % 2**31
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.adapters is None:
                origin = self._copies[start_from] if start_from else self.model
                self._copies[name] = copy_of(origin).float().requires_grad_(True)
                if self.is_sharded:
                    shard(self._copies[name])
            else:
                self._add_adapter(name)
            if head:
                self._heads[name] = ScalarHead(self.hidden_size).to(self.device)
        self.names.append(name)
        role = Role(self, name)
        if start_from is not None:
            role.load_state(Role(self, start_from).state(), strict_head=False)
        return role

    def add_head(self, name: str, *, on: str) -> "Role":
        """A role that is only a head: it starts from another role's and reads that role's hidden states.

        A value model of this kind costs one forward pass and no backward pass (its body is the preference
        model's, frozen), and cannot disturb the policy.

        Raises:
            ConfigError: the name is taken, or ``on`` is no role with a head and a body of its own.
        """
        self._check_name(name)
        if on not in self._heads or on in self._body_of:
            raise ConfigError(f"role {on!r} has no body and head of its own that {name!r} could read from")
        self._heads[name] = copy.deepcopy(self._heads[on])
        self._body_of[name] = on
        self.names.append(name)
        return Role(self, name)

    def _check_name(self, name: str) -> None:
        """Refuse a name for a new role that is taken or not a plain one."""
        if name in self.names or not name.isidentifier():
            raise ConfigError(f"role {name!r} is taken or not a plain name; roles so far: {', '.join(self.names)}")

    def is_only_head(self, name: str | None) -> bool:
        """Whether a role reads another's hidden states and trains nothing but its head."""
        return name in self._body_of

    def _find_split(self) -> LayerSplit | None:
        """Where roles begin to differ, if the lower part can be shared exactly."""
        if self.adapters is None or self.adapters.top_layers is None:
            return None
        at = int(self.model.config.num_hidden_layers) - self.adapters.top_layers
        return find_split(trunk_of(self.model), at, place(Probe.of(self.model), self.device))

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

    def place(self, rows: Rows) -> Placed:
        """A batch as the model takes it; remembered for as long as the same batch is asked for."""
        if self._placed is None or self._placed[0] is not rows:
            self._placed = rows, place(rows, self.device)
        return self._placed[1]

    def reference(self, head: ScalarHead | None = None) -> "Role":
        """The trunk as it was loaded, adapters off; never trained. ``head`` is that of a loaded preference model."""
        if head is not None:
            self._heads[""] = head.to(self.device)
        return Role(self, None)

    def _add_adapter(self, name: str) -> None:
        from peft import LoraConfig, get_peft_model

        assert self.adapters is not None
        depth = int(self.model.config.num_hidden_layers)
        top = self.adapters.top_layers
        config = LoraConfig(
            r=self.adapters.rank,
            lora_alpha=self.adapters.alpha,
            target_modules=self._linear,
            fan_in_fan_out=any(type(m).__name__ == "Conv1D" for m in self.model.modules()),
            layers_to_transform=None if top is None or top >= depth else list(range(depth - top, depth)),
            bias="none",
            task_type="CAUSAL_LM",
        )
        if self._peft is None:
            self._peft = get_peft_model(self.model, config, adapter_name=adapter_name(name))
        else:
            self._peft.add_adapter(adapter_name(name), config)
        self._active = _NOBODY  # peft has switched; set again on the next use
        if self._playing != _NOBODY:
            self._switch(self._playing)

    @contextlib.contextmanager
    def playing(self, name: str | None) -> Iterator[Any]:
        """The causal language model as one role sees it; may be nested."""
        name = self._body_of.get(name, name) if name is not None else None
        if self.adapters is None:
            yield self.model if name is None else self._copies[name]
            return
        outer, self._playing = self._playing, name
        self._switch(name)
        try:
            yield self.model
        finally:
            self._playing = outer
            if outer != _NOBODY:
                self._switch(outer)

    @contextlib.contextmanager
    def sampling(self, name: str | None) -> Iterator[Any]:
        """As ``playing``, with the whole model on every process: samples end where they end, at no common pace."""
        with self.playing(name) as model, put_together(model):
            yield model

    def _switch(self, name: str | None) -> None:
        """Turn peft to one role's adapter, or to none.

        peft freezes the adapters it turns away from. Ours stay trainable: a loss over two roles, or a pass of
        another role between forward and backward, would otherwise lose gradients without a word.
        """
        if self._peft is None or name == self._active:
            return
        if name is None:
            self._peft.base_model.disable_adapter_layers()
        else:
            if self._active in (None, _NOBODY):
                self._peft.base_model.enable_adapter_layers()
            self._peft.set_adapter(adapter_name(name))
        for key, weight in self.model.named_parameters():
            if "lora_" in key:
                weight.requires_grad_(True)
        self._active = name

    def precision(self, name: str | None) -> torch.autocast:
        """The autocast that this role's forward passes run under: full copies of a bf16 model compute in bf16."""
        mixed = self.adapters is None and name is not None and self.model.dtype == torch.bfloat16
        return torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=mixed)

    def named_weights(self, name: str) -> dict[str, nn.Parameter]:
        """The trainable weights of one role, the head's under ``head.``."""
        weights: dict[str, nn.Parameter]
        if name in self._body_of:
            weights = {}
        elif self.adapters is None:
            taken_apart(self._copies[name])
            weights = dict(self._copies[name].named_parameters())
        else:
            key = f".{adapter_name(name)}."
            weights = {k.replace(key, "."): p for k, p in self.model.named_parameters() if key in k and "lora_" in k}
        if name in self._heads:
            weights |= {f"head.{k}": p for k, p in self._heads[name].named_parameters()}
        return weights


class Role:
    """One trunk seen through one adapter (or bare, ``name=None``), with an optional scalar head."""

    def __init__(self, trunk: Trunk, name: str | None) -> None:
        self.trunk, self.name = trunk, name

    @property
    def head(self) -> ScalarHead:
        """The scalar head.

        Raises:
            ModelError: this role has none.
        """
        head = self.trunk._heads.get(self.name or "")
        if head is None:
            raise ModelError(f"role {self.name or 'reference'!r} has no scalar head")
        return head

    def weights(self) -> dict[str, nn.Parameter]:
        """Trainable weights by name; none for the reference."""
        return {} if self.name is None else self.trunk.named_weights(self.name)

    @property
    def device(self) -> torch.device:
        """Where its weights lie and its results come out; batches are moved there."""
        return self.trunk.device

    def hidden(self, rows: Rows) -> Float[Tensor, "token hidden"]:
        """Last hidden state of every token of the batch.

        What lies below the lowest adapter is computed once for a batch, whichever roles ask.
        """
        split, placed = self.trunk._split, self.trunk.place(rows)
        frozen = torch.no_grad() if self.trunk.is_only_head(self.name) else contextlib.nullcontext()
        with self.trunk.playing(self.name) as model, self.trunk.precision(self.name), frozen:
            if split is not None:
                out: Tensor = split.upper(placed, split.lower(placed))
            else:
                out = run_body(model, placed, input_ids=placed.ids)
        return out.flatten(0, 1)

    def scores(self, rows: Rows) -> Float[Tensor, " reply"]:
        """The head's reading at each reply's last token, in nats."""
        scores: Tensor = self.head(self.hidden(rows)[self.trunk.place(rows).read_at])
        return scores

    def features(self, rows: Rows) -> Float[Tensor, "item hidden"]:
        """The hidden state before each reply token is known: what ``values`` reads."""
        return self.hidden(rows)[self.trunk.place(rows).predict_at]

    def values(self, rows: Rows) -> Float[Tensor, " item"]:
        """The head's reading before each reply token is known."""
        values: Tensor = self.head(self.features(rows))
        return values

    @property
    def is_only_head(self) -> bool:
        """Whether nothing but the head is trained; then ``features`` never change."""
        return self.trunk.is_only_head(self.name)

    def logprobs(
        self, rows: Rows, *, temperature: float = 1.0, with_entropy: bool = False
    ) -> tuple[Float[Tensor, " item"], Float[Tensor, " item"] | None]:
        """Log-probability of each reply token in nats, and its entropy on request."""
        hidden = self.features(rows)
        with self.trunk.playing(self.name) as model:
            return token_logprobs(
                hidden,
                self.trunk.place(rows).targets,
                model.get_output_embeddings().weight,
                temperature=temperature,
                with_entropy=with_entropy,
                **logit_shape(model.config),
            )

    def logits(self, rows: Rows, *, temperature: float = 1.0) -> Float[Tensor, "item vocab"]:
        """Next-token logits before each reply token, over the whole vocabulary; memory is items times vocabulary."""
        hidden = self.features(rows)
        with self.trunk.playing(self.name) as model:
            weight, shape = model.get_output_embeddings().weight, logit_shape(model.config)
        logits: Tensor = (hidden.to(weight.dtype) @ weight.T).float() * shape["scale"]
        if shape["softcap"] is not None:
            logits = shape["softcap"] * torch.tanh(logits / shape["softcap"])
        return logits / temperature

    def state(self) -> dict[str, Tensor]:
        """A copy of the weights."""
        return {k: p.detach().clone() for k, p in self.weights().items()}

    def load_state(self, state: dict[str, Tensor], *, strict_head: bool = True) -> None:
        """Put weights back.

        Raises:
            ModelError: a weight is missing, unknown or of another shape. A head is never left random.
        """
        mine = self.weights()
        missing, unknown = mine.keys() - state.keys(), state.keys() - mine.keys()
        if not strict_head:
            unknown = {k for k in unknown if not k.startswith("head.")}
        if missing or unknown:
            raise ModelError(
                f"weights of role {self.name!r} do not fit: "
                f"missing {sorted(missing)[:4]}, unknown {sorted(unknown)[:4]}"
            )
        for key, parameter in mine.items():  # all of them first: a refused state leaves the role as it was
            if parameter.shape != state[key].shape:
                raise ModelError(f"{key}: shape {tuple(state[key].shape)}, expected {tuple(parameter.shape)}")
        with torch.no_grad():
            for key, parameter in mine.items():
                parameter.copy_(distributed.shard_like(state[key].to(parameter.device), parameter))


def adapter_name(role: str) -> str:
    """What peft calls a role's adapter: never the name of a layer ("layers") or of a method ("train")."""
    return f"role_{role}"
