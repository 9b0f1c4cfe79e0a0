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
from typing import Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from preflab.errors import ConfigError, ModelError
from preflab.models.heads import ScalarHead, token_logprobs
from preflab.models.load import LanguageModel


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Low-rank adapters (Hu et al. 2021) on the linear layers of the upper part of the trunk."""

    rank: int = 16
    alpha: float = 32.0
    """The update is scaled by ``alpha / rank``."""
    top_layers: int | None = None
    """Adapt only this many of the topmost layers; the backward pass stops below them. None: all."""


class Rows(Protocol):
    """The part of ``data.rows.RowBatch`` that a trunk reads."""

    @property
    def ids(self) -> Int[Tensor, "row token"]: ...
    @property
    def positions(self) -> Int[Tensor, "row token"]: ...
    @property
    def mask(self) -> Bool[Tensor, "row 1 token token"]: ...
    @property
    def read_at(self) -> Int[Tensor, " reply"]: ...
    @property
    def predict_at(self) -> Int[Tensor, " item"]: ...
    @property
    def targets(self) -> Int[Tensor, " item"]: ...


class Trunk:
    """A language model and the roles that live on it."""

    def __init__(self, source: LanguageModel, adapters: AdapterConfig | None, *, seed: int = 0) -> None:
        self.source = source
        self.adapters = adapters
        self.seed = seed
        self.model = source.model.requires_grad_(False)
        self._peft: nn.Module | None = None
        self._copies: dict[str, nn.Module] = {}
        self._heads: dict[str, ScalarHead] = {}
        self._active: str | None = None
        self.names: list[str] = []
        self._linear = linear_names(self.model)
        check_rows(self.model)

    @property
    def hidden_size(self) -> int:
        """Width of a hidden state."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    def add_role(self, name: str, *, head: bool = False, start_from: str | None = None) -> "Role":
        """A new role: with fresh weights, or with a copy of another's (a value model from the PM).

        Raises:
            ConfigError: the name is taken, or ``start_from`` is not a role.
        """
        if name in self.names or not name.isidentifier():
            raise ConfigError(f"role {name!r} is taken or not a plain name; roles so far: {', '.join(self.names)}")
        if start_from is not None and start_from not in self.names:
            raise ConfigError(f"no role {start_from!r} to start {name!r} from; roles so far: {', '.join(self.names)}")
        seed = (self.seed * 1_000_003 + zlib.crc32(name.encode())) % 2**31
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if self.adapters is None:
                origin = self._copies[start_from] if start_from else self.source.model
                self._copies[name] = copy.deepcopy(origin).float().requires_grad_(True)
            else:
                self._add_adapter(name)
            if head:
                self._heads[name] = ScalarHead(self.hidden_size)
        self.names.append(name)
        role = Role(self, name)
        if start_from is not None:
            role.load_state(Role(self, start_from).state(), strict_head=False)
        return role

    def reference(self) -> "Role":
        """The trunk as it was loaded, adapters off; never trained."""
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
            layers_to_transform=None if top is None or top >= depth else list(range(depth - top, depth)),
            bias="none",
            task_type="CAUSAL_LM",
        )
        if self._peft is None:
            self._peft = get_peft_model(self.model, config, adapter_name=name)
        else:
            self._peft.add_adapter(name, config)
        self._active = None  # peft may have switched; set again on the next use

    @contextlib.contextmanager
    def playing(self, name: str | None) -> Iterator[nn.Module]:
        """The causal language model as one role sees it."""
        if self.adapters is None:
            yield self.model if name is None else self._copies[name]
        elif name is None:
            if self._peft is None:
                yield self.model
            else:
                with self._peft.disable_adapter():
                    yield self.model
                self._active = None
        else:
            assert self._peft is not None
            if self._active != name:
                self._peft.set_adapter(name)
                self._active = name
            yield self.model

    def named_weights(self, name: str) -> dict[str, nn.Parameter]:
        """The trainable weights of one role, the head's under ``head.``."""
        if self.adapters is None:
            weights = dict(self._copies[name].named_parameters())
        else:
            key = f".{name}."
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

    def hidden(self, rows: Rows) -> Float[Tensor, "item hidden"]:
        """Last hidden state of every token of the batch, rows laid end to end (padding included)."""
        with self.trunk.playing(self.name) as model:
            if self.name is not None:
                for p in self.weights().values():
                    p.requires_grad_(torch.is_grad_enabled())
            dtype = self.trunk.source.model.dtype
            mixed = self.trunk.adapters is None and self.name is not None and dtype == torch.bfloat16
            with torch.autocast(rows.ids.device.type, dtype=torch.bfloat16, enabled=mixed):
                out = trunk_of(model)(
                    input_ids=rows.ids,
                    position_ids=rows.positions,
                    attention_mask=rows.mask,
                    use_cache=False,
                ).last_hidden_state
        return out.flatten(0, 1)

    def scores(self, rows: Rows) -> Float[Tensor, " reply"]:
        """The head's reading at each reply's last token, in nats."""
        return self.head(self.hidden(rows)[rows.read_at])

    def values(self, rows: Rows) -> Float[Tensor, " item"]:
        """The head's reading before each reply token is known."""
        return self.head(self.hidden(rows)[rows.predict_at])

    def logprobs(
        self, rows: Rows, *, temperature: float = 1.0, with_entropy: bool = False
    ) -> tuple[Float[Tensor, " item"], Float[Tensor, " item"] | None]:
        """Log-probability of each reply token in nats, and its entropy on request."""
        hidden = self.hidden(rows)[rows.predict_at]
        with self.trunk.playing(self.name) as model:
            return token_logprobs(
                hidden,
                rows.targets,
                model.get_output_embeddings().weight,
                temperature=temperature,
                with_entropy=with_entropy,
                **logit_shape(model.config),
            )

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
                f"weights of role {self.name!r} do not fit: missing {sorted(missing)[:4]}, unknown {sorted(unknown)[:4]}"
            )
        with torch.no_grad():
            for key, parameter in mine.items():
                if parameter.shape != state[key].shape:
                    raise ModelError(f"{key}: shape {tuple(state[key].shape)}, expected {tuple(parameter.shape)}")
                parameter.copy_(state[key])


def trunk_of(model: nn.Module) -> nn.Module:
    """The part of a causal language model below its output layer."""
    return model.base_model  # type: ignore[return-value]  # transformers' own name for it


def linear_names(model: nn.Module) -> list[str]:
    """Last path component of every linear layer but the output layer."""
    out = model.get_output_embeddings()  # type: ignore[operator]
    kinds = (nn.Linear,)
    found = {n.rsplit(".", 1)[-1] for n, m in model.named_modules() if isinstance(m, kinds) and m is not out}
    found |= {n.rsplit(".", 1)[-1] for n, m in model.named_modules() if type(m).__name__ == "Conv1D"}
    return sorted(found)


def logit_shape(config: object) -> dict[str, float | None]:
    """How a family bends its logits after the output layer (Gemma caps, Granite and Cohere scale)."""
    scale = 1.0
    if (by := getattr(config, "logits_scaling", None)) is not None:
        scale = 1.0 / float(by)
    elif (by := getattr(config, "logit_scale", None)) is not None:
        scale = float(by)
    return {"softcap": getattr(config, "final_logit_softcapping", None), "scale": scale}


def check_rows(model: nn.Module) -> None:
    """Run a small branched row and its branches alone; refuse a model that tells them apart.

    Raises:
        ModelError: the model does not honour positions and masks (recurrent layers, ALiBi, sliding
            windows that ignore the mask), or its logits are not its output layer's.
    """
    embeddings = model.get_input_embeddings()  # type: ignore[operator]
    device, vocab = embeddings.weight.device, int(embeddings.weight.shape[0])
    a, b, c = ([(7 * i + k) % min(vocab, 200) for i in range(4)] for k in (3, 5, 11))
    ids = torch.tensor([a + b + c], device=device)
    positions = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]], device=device)
    mask = torch.ones(12, 12, dtype=torch.bool, device=device).tril()
    mask[8:, 4:8] = False
    with torch.no_grad():
        branched = trunk_of(model)(
            input_ids=ids, position_ids=positions, attention_mask=mask[None, None], use_cache=False
        ).last_hidden_state[0]
        full = model(input_ids=torch.tensor([a + c], device=device), use_cache=False, output_hidden_states=True)
        alone = full.hidden_states[-1][0]
        logits = branched[8:].to(embeddings.weight.dtype) @ model.get_output_embeddings().weight.T  # type: ignore[operator]
        shape = logit_shape(model.config)
        bent = logits.float() * shape["scale"]
        if shape["softcap"]:
            bent = shape["softcap"] * torch.tanh(bent / shape["softcap"])
    tolerance = 0.15 if embeddings.weight.dtype != torch.float32 else 1e-3
    size = alone[4:].float().abs().mean()
    if (branched[8:].float() - alone[4:].float()).abs().mean() > tolerance * size:
        raise ModelError(
            f"{type(model).__name__} gives other numbers for a row with branches than for its branches alone; "
            "it ignores custom positions or masks, and cannot be used here yet"
        )
    if (bent - full.logits[0, 4:].float()).abs().mean() > tolerance * full.logits.float().abs().mean():
        raise ModelError(f"{type(model).__name__}: its logits are not its output layer times its hidden state")
