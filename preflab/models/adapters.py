"""Low-rank adapters through peft: each role is a small set of weights on one frozen backbone."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from preflab.checks import check_above, check_at_least
from preflab.config_overrides import check_types
from preflab.models.backends.backbone import Backbone


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Low-rank adapters (Hu et al. 2021) on the linear layers of the upper part of the backbone."""

    rank: int = 16
    alpha: float = 32.0
    """The update is scaled by ``alpha / rank``."""
    top_layers: int | None = None
    """Adapt only this many of the topmost layers; the backward pass stops below them. None: all."""

    def __post_init__(self) -> None:
        check_types(self)
        check_at_least(self, 1, "rank", "top_layers")
        check_above(self, 0, "alpha")


NO_ROLE = "?"
"""No role has this name: no role is active, or it is not known which."""


class Adapters:
    """The adapters of all roles; see `RoleWeights`."""

    def __init__(self, backbone: Backbone, config: AdapterConfig) -> None:
        self.config = config
        self._backbone = backbone
        self._peft: Any = None
        self._switched_to: str | None = NO_ROLE  # what peft is switched to
        self._active: str | None = NO_ROLE  # the role whose ``activate`` block we are in

    def add(self, name: str, start_from: str | None) -> None:
        """A fresh adapter: its update is zero."""
        del start_from
        from peft import get_peft_model

        if self._peft is None:
            self._peft = get_peft_model(self._backbone.model, self._peft_settings(), adapter_name=adapter_name(name))
        else:
            self._peft.add_adapter(adapter_name(name), self._peft_settings())
        self._switched_to = NO_ROLE  # peft has switched to the new one; set again on the next use
        if self._active != NO_ROLE:
            self._switch(self._active)

    def _peft_settings(self) -> Any:
        from peft import LoraConfig

        depth, top = self._backbone.depth, self.config.top_layers
        return LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,
            target_modules=self._backbone.adaptable_layers,
            fan_in_fan_out=any(type(m).__name__ == "Conv1D" for m in self._backbone.model.modules()),
            layers_to_transform=None if top is None or top >= depth else list(range(depth - top, depth)),
            bias="none",
            task_type="CAUSAL_LM",
        )

    @contextlib.contextmanager
    def activate(self, name: str | None) -> Iterator[Backbone]:
        """The backbone with the role's adapter on, or with none; what was active before is active again afterwards."""
        outer, self._active = self._active, name
        self._switch(name)
        try:
            yield self._backbone
        finally:
            self._active = outer
            if outer != NO_ROLE:
                self._switch(outer)

    def _switch(self, name: str | None) -> None:
        """Turn peft to one role's adapter, or to none.

        peft freezes the adapters it turns away from. Ours stay trainable: a loss over two roles, or a pass of
        another role between forward and backward, would otherwise lose gradients without a word.
        """
        if self._peft is None or name == self._switched_to:
            return
        if name is None:
            self._peft.base_model.disable_adapter_layers()
        else:
            if self._switched_to in (None, NO_ROLE):
                self._peft.base_model.enable_adapter_layers()
            self._peft.set_adapter(adapter_name(name))
        for key, weight in self._backbone.model.named_parameters():
            if "lora_" in key:
                weight.requires_grad_(True)
        self._switched_to = name

    def autocast(self, name: str | None) -> torch.autocast:
        """None: adapters compute in the backbone's own precision."""
        del name
        return torch.autocast(self._backbone.device.type, dtype=torch.bfloat16, enabled=False)

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """The adapter's weights, named as if it were the only one."""
        key = f".{adapter_name(name)}."
        named = self._backbone.model.named_parameters()
        return {k.replace(key, "."): p for k, p in named if key in k and "lora_" in k}

    def merged_model(self, name: str) -> nn.Module:
        """A copy of the model with the adapter added into the weights."""
        with self.activate(name):
            wrapped: Any = copy.deepcopy(self._peft)
        wrapped = wrapped.float()
        model: nn.Module = wrapped.merge_and_unload(adapter_names=[adapter_name(name)])
        return model.requires_grad_(False)

    def settings(self, name: str) -> Any:
        """peft's own configuration of one role's adapter."""
        return self._peft.peft_config[adapter_name(name)]


def adapter_name(role: str) -> str:
    """What peft calls a role's adapter: never the name of a layer ("layers") or of a method ("train")."""
    return f"role_{role}"
