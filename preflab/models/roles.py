"""One trunk, several roles: policy, reference, value and preference models that share their weights.

With adapters (LoRA through peft) every role is a small set of weights on one frozen backbone, and the
reference is the backbone with every adapter off: the live weights the policy started from, at no cost.
Without adapters each role is a full copy. Code that trains or scores sees only a ``Role``.
"""

import contextlib
import copy
import zlib
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from preflab import distributed
from preflab.errors import ConfigError, ModelError
from preflab.models.adapters import AdapterConfig, Adapters
from preflab.models.backends.backbone import Backbone
from preflab.models.backends.causal import CausalBackbone
from preflab.models.backends.shared_layers import LayerSplit
from preflab.models.heads import ScalarHead, token_logprobs
from preflab.models.load import LanguageModel
from preflab.models.parallel import gather_weights
from preflab.models.role_weights import FullCopies, RoleWeights
from preflab.models.row_attention.attention import DeviceBatch, Rows


class Trunk:
    """A language model and the roles that live on it.

    Args:
        source    the model; its weights are frozen.
        adapters  None: every role is a full copy.
        seed      of fresh adapters and heads; each role's are drawn apart from all others'.

    Raises:
        ModelError: the model does not honour masks or positions, or carries adapters already.
    """

    def __init__(self, source: LanguageModel, adapters: AdapterConfig | None, *, seed: int = 0) -> None:
        self.source = source
        self.adapters = adapters
        self.seed = seed
        if any("lora_" in key for key, _ in source.model.named_parameters()):
            raise ModelError(f"{source.name}: this model carries adapters already; load it afresh for another trunk")
        self.backbone: Backbone = CausalBackbone.prepare(source.model)
        self.names: list[str] = []
        self.shared_lower_layers: LayerSplit | None = None
        """Where roles begin to differ, if the layers below can be shared exactly."""
        if adapters is not None and adapters.top_layers is not None:
            self.shared_lower_layers = self.backbone.split_below(adapters.top_layers)
        self._weights: RoleWeights = (
            FullCopies(self.backbone) if adapters is None else Adapters(self.backbone, adapters)
        )
        self._heads: dict[str, ScalarHead] = {}
        self._body_of: dict[str, str] = {}  # a role that is only a head -> the role whose hidden states it reads
        self._last_batch: tuple[Rows, DeviceBatch] | None = None

    @property
    def model(self) -> Any:
        """The transformers model that the roles started from."""
        return self.backbone.model

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.backbone.device

    @property
    def hidden_size(self) -> int:
        """Width of a hidden state."""
        return self.backbone.hidden_size

    # roles -----------------------------------------------------------------------------------------------

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
            self._weights.add(name, start_from)
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

    def reference(self, head: ScalarHead | None = None) -> "Role":
        """The trunk as it was loaded, adapters off; never trained. ``head`` is that of a loaded preference model."""
        if head is not None:
            self._heads[""] = head.to(self.device)
        return Role(self, None)

    def _check_name(self, name: str) -> None:
        """Refuse a name for a new role that is taken or not a plain one."""
        if name in self.names or not name.isidentifier():
            raise ConfigError(f"role {name!r} is taken or not a plain name; roles so far: {', '.join(self.names)}")

    # what a role reads -----------------------------------------------------------------------------------

    def head_of(self, name: str | None) -> ScalarHead | None:
        """A role's scalar head; None if it has none."""
        return self._heads.get(name or "")

    def body_role(self, name: str) -> str:
        """The role whose body a role reads: its own unless it is only a head."""
        return self._body_of.get(name, name)

    def is_only_head(self, name: str | None) -> bool:
        """Whether a role reads another's hidden states and trains nothing but its head."""
        return name in self._body_of

    def to_device(self, rows: Rows) -> DeviceBatch:
        """A batch as the model takes it; remembered for as long as the same batch is asked for."""
        if self._last_batch is None or self._last_batch[0] is not rows:
            self._last_batch = rows, self.backbone.to_device(rows)
        return self._last_batch[1]

    def activate(self, name: str | None) -> contextlib.AbstractContextManager[Backbone]:
        """The backbone as one role sees it (None: the reference); may be nested."""
        return self._weights.activate(None if name is None else self.body_role(name))

    @contextlib.contextmanager
    def sampling(self, name: str | None) -> Iterator[Any]:
        """As ``activate``, but the bare model, and all of it on every process: samples end at no common pace."""
        with self.activate(name) as backbone, gather_weights(backbone.model):
            yield backbone.model

    def autocast(self, name: str | None) -> torch.autocast:
        """What this role's forward passes run under: full copies of a bf16 model compute in bf16."""
        return self._weights.autocast(name)

    # weights ---------------------------------------------------------------------------------------------

    def named_weights(self, name: str) -> dict[str, nn.Parameter]:
        """The trainable weights of one role, the head's under ``head.``."""
        weights = {} if self.is_only_head(name) else self._weights.parameters(name)
        head = self.head_of(name)
        if head is not None:
            weights |= {f"head.{k}": p for k, p in head.named_parameters()}
        return weights

    def merged_model(self, name: str) -> nn.Module:
        """A copy of the language model as this role sees it, in full precision and without adapters."""
        return self._weights.merged_model(self.body_role(name))

    def adapter_settings(self, name: str | None) -> Any:
        """peft's configuration of a role's own adapter.

        Raises:
            ModelError: the role has none: it is the reference, a full copy, or only a head.
        """
        if name is None or not isinstance(self._weights, Adapters) or self.is_only_head(name):
            raise ModelError(f"role {name or 'reference'!r} has no adapter of its own to save")
        return self._weights.settings(name)


class Role:
    """One trunk seen through one role's weights (None: the reference), with an optional scalar head."""

    def __init__(self, trunk: Trunk, name: str | None) -> None:
        self.trunk, self.name = trunk, name

    @property
    def head(self) -> ScalarHead:
        """The scalar head.

        Raises:
            ModelError: this role has none.
        """
        head = self.trunk.head_of(self.name)
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
        split, batch = self.trunk.shared_lower_layers, self.trunk.to_device(rows)
        frozen = torch.no_grad() if self.is_only_head else contextlib.nullcontext()
        with self.trunk.activate(self.name) as backbone, self.trunk.autocast(self.name), frozen:
            hidden = backbone.hidden(batch) if split is None else split.upper(batch, split.lower(batch))
        return hidden.flatten(0, 1)

    def scores(self, rows: Rows) -> Float[Tensor, " reply"]:
        """The head's reading at each reply's last token, in nats."""
        scores: Tensor = self.head(self.hidden(rows)[self.trunk.to_device(rows).read_at])
        return scores

    def features(self, rows: Rows) -> Float[Tensor, "item hidden"]:
        """The hidden state before each reply token is known: what ``values`` reads."""
        return self.hidden(rows)[self.trunk.to_device(rows).predict_at]

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
        with self.trunk.activate(self.name) as backbone:
            return token_logprobs(
                hidden,
                self.trunk.to_device(rows).targets,
                backbone.output_weight,
                temperature=temperature,
                with_entropy=with_entropy,
                **backbone.logit_shape,
            )

    def logits(self, rows: Rows, *, temperature: float = 1.0) -> Float[Tensor, "item vocab"]:
        """Next-token logits before each reply token, over the whole vocabulary; memory is items times vocabulary."""
        hidden = self.features(rows)
        with self.trunk.activate(self.name) as backbone:
            weight, shape = backbone.output_weight, backbone.logit_shape
        logits: Tensor = (hidden.to(weight.dtype) @ weight.T).float() * shape["scale"]
        if shape["softcap"] is not None:
            logits = shape["softcap"] * torch.tanh(logits / shape["softcap"])
        return logits / temperature

    def state(self) -> dict[str, Tensor]:
        """A copy of the weights."""
        return {k: p.detach().clone() for k, p in self.weights().items()}

    def load_state(self, state: dict[str, Tensor], *, strict_head: bool = True) -> None:
        """Put weights back.

        Args:
            strict_head  False: a head in ``state`` is passed over where this role has none.

        Raises:
            ModelError: a weight is missing, unknown or of another shape. A head is never left random.
        """
        weights = self.weights()
        missing, unknown = weights.keys() - state.keys(), state.keys() - weights.keys()
        if not strict_head:
            unknown = {k for k in unknown if not k.startswith("head.")}
        if missing or unknown:
            raise ModelError(
                f"weights of role {self.name!r} do not fit: "
                f"missing {sorted(missing)[:4]}, unknown {sorted(unknown)[:4]}"
            )
        for key, parameter in weights.items():  # all of them first: a refused state leaves the role as it was
            if parameter.shape != state[key].shape:
                raise ModelError(f"{key}: shape {tuple(state[key].shape)}, expected {tuple(parameter.shape)}")
        with torch.no_grad():
            for key, parameter in weights.items():
                parameter.copy_(distributed.shard_like(state[key].to(parameter.device), parameter))
