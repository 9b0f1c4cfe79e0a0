"""Models that are not sharded. Over several processes: tests/test_distributed.py."""

import torch
from torch import nn

from preflab.models.parallel import copy_buffers, full_copy, gather_weights, is_sharded, reshard
from preflab.models.tiny import tiny_model


def test_a_full_copy_has_equal_weights_of_its_own() -> None:
    model = tiny_model()
    copied = full_copy(model)
    for (name, weight), (other_name, other) in zip(model.named_parameters(), copied.named_parameters(), strict=True):
        assert name == other_name and torch.equal(weight, other) and weight is not other


def test_one_process_shards_nothing_and_gathers_nothing() -> None:
    model = tiny_model()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    assert not is_sharded(model)
    with gather_weights(model):
        reshard(model)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())


def test_buffers_are_copied_by_name() -> None:
    source, target = nn.Module(), nn.Module()
    source.register_buffer("both", torch.ones(2))
    source.register_buffer("missing", torch.ones(1))
    target.register_buffer("both", torch.zeros(2))
    target.register_buffer("untouched", torch.zeros(3))
    copy_buffers(source, target)
    assert dict(target.named_buffers())["both"].tolist() == [1, 1]
    assert dict(target.named_buffers())["untouched"].tolist() == [0, 0, 0]
