"""The cache keeps what it was given, hands on what is chosen, and sees only what is filled."""

import torch
from torch import Tensor

from preflab.rollouts.cache import RoomyLayer, roomy_cache, select


def block(sample: int, tokens: int, start: int = 0) -> Tensor:
    """[sample 2 tokens 3] of distinct numbers."""
    return start + torch.arange(sample * 2 * tokens * 3, dtype=torch.float32).reshape(sample, 2, tokens, 3)


def test_what_goes_in_comes_out_behind_what_was_there() -> None:
    layer = RoomyLayer(room=5)
    first, second = block(2, 3), block(2, 1, 100)
    layer.update(first, first + 0.5)
    place = layer.keys.data_ptr()
    keys, values = layer.update(second, second + 0.5)
    assert torch.equal(keys, torch.cat([first, second], dim=2))
    assert torch.equal(values, torch.cat([first, second], dim=2) + 0.5)
    assert layer.keys.data_ptr() == place  # written in place, nothing allocated anew
    assert (layer.get_seq_length(), layer.get_max_length(), layer.get_mask_sizes(1)) == (4, 5, (5, 0))


def test_samples_are_kept_repeated_and_reordered_in_every_layer() -> None:
    cache = roomy_cache(layers=2, room=3)
    kept = [block(3, 3), block(3, 3, 50)]
    for i, k in enumerate(kept):
        cache.update(k, -k, i)
    select(cache, torch.tensor([2, 0, 0]), room=7)
    for layer, k in zip(cache.layers, kept, strict=True):
        assert isinstance(layer, RoomyLayer)
        new = block(3, 4, 500)
        keys, values = layer.update(new, -new)
        assert torch.equal(keys, torch.cat([k[[2, 0, 0]], new], dim=2))
        assert torch.equal(values, -keys)
    assert cache.get_seq_length() == 7


def test_giving_up_samples_frees_their_room() -> None:
    cache = roomy_cache(layers=1, room=4)
    cache.update(block(8, 2), block(8, 2), 0)
    layer = cache.layers[0]
    assert isinstance(layer, RoomyLayer)
    before = layer.keys.untyped_storage().nbytes()
    select(cache, torch.tensor([3]))
    assert layer.keys.untyped_storage().nbytes() == before // 8
    assert layer.get_max_length() == 4
