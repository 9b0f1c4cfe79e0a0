"""A model sharded over processes (FSDP2), seen by everyone else as the model it was.

Parameters, gradients and optimiser state lie in shards, one a process; a layer is gathered when it runs and sharded
again afterwards. Gradients are summed over processes, since losses are divided by global counts already.
"""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from preflab import distributed
from preflab.models.row_attention.attention import run_body, to_device
from preflab.models.row_attention.row_support import Probe


def shard(model: Any) -> None:
    """Shard a causal language model in place, layer by layer; only its calls through ``run_body`` work from then on."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    device = next(model.parameters()).device
    mesh = init_device_mesh(device.type, (distributed.world_size(),))
    for layer in _layers(model):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for part in _sharded(model):
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)  # gloo cannot scale while it sums
    model.run_rows = _body_runner(model)
    register_fsdp_forward_method(model, "run_rows")
    probe = to_device(Probe.for_model(model), device)
    with torch.no_grad():
        run_body(model, probe, input_ids=probe.ids)  # FSDP wants the outermost to run first, once; sampling does not
    reshard(model)


def is_sharded(model: nn.Module) -> bool:
    """Whether ``shard`` has been here."""
    return bool(_sharded(model))


def reshard(model: nn.Module) -> None:
    """Put every parameter back into its shards: a forward pass without gradient leaves the outermost gathered."""
    for part in _sharded(model):
        part.reshard()


@contextlib.contextmanager
def gather_weights(model: nn.Module) -> Iterator[None]:
    """The whole model on every process for the length of the block, so that each can sample at a pace of its own."""
    parts = _sharded(model)
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(part is not model, recurse=False)
            part.reshard()


def full_copy(model: Any) -> Any:
    """An unsharded copy with weights of its own. Every process must ask for it."""
    if not is_sharded(model):
        return copy.deepcopy(model)
    reshard(model)
    with torch.device("meta"):
        fresh = type(model)(model.config)
    fresh = fresh.to_empty(device=next(model.parameters()).device).to(next(model.parameters()).dtype)
    fresh.tie_weights()
    original_weights = dict(model.named_parameters())
    with torch.no_grad():
        for key, parameter in fresh.named_parameters():
            parameter.copy_(distributed.full_tensor(original_weights[key]))
    copy_buffers(model, fresh)
    return fresh.train(model.training)


def copy_buffers(source: nn.Module, target: nn.Module) -> None:
    """Buffers that are not saved (rotary frequencies) are empty after ``to_empty``."""
    target_buffers = dict(target.named_buffers())
    for name, buffer in source.named_buffers():
        if name in target_buffers:
            target_buffers[name].copy_(buffer)


def _sharded(model: nn.Module) -> list[Any]:
    if distributed.world_size() == 1:
        return []
    from torch.distributed.fsdp import FSDPModule

    return [part for part in model.modules() if isinstance(part, FSDPModule)]


def _layers(model: nn.Module) -> list[nn.Module]:
    """The decoder layers: the longest list of modules there is."""
    lists = [list(part) for part in model.modules() if isinstance(part, nn.ModuleList)]
    return max(lists, key=lambda layers: len(layers), default=[])


def _body_runner(model: Any) -> Any:
    def run_rows(**inputs: Any) -> Tensor:
        hidden: Tensor = model.base_model(**inputs).last_hidden_state
        return hidden

    return run_rows
