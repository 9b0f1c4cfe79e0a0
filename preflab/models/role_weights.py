"""Where the weights of roles lie: in full copies of the backbone (`FullCopies`), or in adapters (`adapters`)."""

import contextlib
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from preflab import distributed
from preflab.models.backends.backbone import Backbone
from preflab.models.parallel import full_copy, reshard


@runtime_checkable
class RoleWeights(Protocol):
    """The bodies of all roles on one backbone; ``None`` is the reference, the backbone as it was loaded."""

    def add(self, name: str, start_from: str | None) -> None:
        """Weights for a new role; ``start_from`` is a role whose weights it will be given next."""
        ...

    def activate(self, name: str | None) -> contextlib.AbstractContextManager[Backbone]:
        """The backbone as one role sees it; may be nested."""
        ...

    def autocast(self, name: str | None) -> torch.autocast:
        """What this role's forward passes run under."""
        ...

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """The trainable weights of one role's body."""
        ...

    def merged_model(self, name: str) -> nn.Module:
        """A copy of the model as this role sees it, in fp32 and without adapters."""
        ...


class FullCopies:
    """Each role is a full copy of the backbone, sharded where there are several processes."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._copies: dict[str, Backbone] = {}
        if distributed.world_size() > 1:
            backbone.shard()

    def add(self, name: str, start_from: str | None) -> None:
        """A copy in fp32 of the backbone or of another role's copy."""
        origin = self._backbone if start_from is None else self._copies[start_from]
        self._copies[name] = origin.trainable_copy()
        if distributed.world_size() > 1:
            self._copies[name].shard()

    @contextlib.contextmanager
    def activate(self, name: str | None) -> Iterator[Backbone]:
        """The role's own copy."""
        yield self._backbone if name is None else self._copies[name]

    def autocast(self, name: str | None) -> torch.autocast:
        """Copies of a bf16 model compute in bf16, although their weights are fp32."""
        mixed = name is not None and self._backbone.dtype == torch.bfloat16
        return torch.autocast(self._backbone.device.type, dtype=torch.bfloat16, enabled=mixed)

    def parameters(self, name: str) -> dict[str, nn.Parameter]:
        """Every weight of the copy."""
        model: nn.Module = self._copies[name].model
        reshard(model)
        return dict(model.named_parameters())

    def merged_model(self, name: str) -> nn.Module:
        """A copy of the copy, unsharded."""
        model: nn.Module = full_copy(self._copies[name].model)
        return model.requires_grad_(False)
