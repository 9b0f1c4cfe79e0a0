"""The cache keeps what it was given, hands on what is chosen, and moves only what changes places."""

import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from preflab.models.tiny import tiny_model
from preflab.rollouts.kv_cache import PreallocatedCache, PreallocatedLayer, cache_argument


def block(samples: int, tokens: int, start: int = 0) -> Tensor:
    """[sample 2 tokens 3] of distinct numbers."""
    return start + torch.arange(samples * 2 * tokens * 3, dtype=torch.float32).reshape(samples, 2, tokens, 3)


def filled() -> tuple[PreallocatedCache, Tensor]:
    """Three samples of two prompts (of two tokens and of one), room for two more tokens; and the prompts' keys."""
    cache = PreallocatedCache(2, samples=3, width=2, room=4)
    keys = block(1, 3)
    with cache.prompts([([0, 2], 2), ([1], 1)]):
        for layer in range(2):
            seen, _ = cache.update(keys + layer, -keys - layer, layer)
            assert torch.equal(seen, keys + layer)  # prompts see themselves, laid end to end
    return cache, keys


def held(cache: PreallocatedCache, layer: int = 0) -> PreallocatedLayer:
    found = cache.layers[layer]
    assert isinstance(found, PreallocatedLayer)
    return found


def test_prompts_end_in_one_column_for_all_samples_that_begin_with_them() -> None:
    cache, keys = filled()
    two, one = keys[0, :, :2], keys[0, :, 2:]
    for layer in range(2):
        found = held(cache, layer)
        for sample in (0, 2):
            assert torch.equal(found.keys[sample, :, :2], two + layer)
        assert torch.equal(found.keys[1, :, 1:2], one + layer)
        assert torch.equal(found.keys[1, :, :1], torch.zeros(2, 1, 3))  # finite: no weight on it still means no nan
        assert torch.equal(found.values[:, :, 1], -found.keys[:, :, 1])


def test_steps_are_written_in_place_behind_what_was_there() -> None:
    cache, _ = filled()
    place, first, second = held(cache).keys.data_ptr(), block(3, 1, 100), block(3, 1, 200)
    cache.update(first, -first, 0)
    keys, values = cache.update(second, -second, 0)
    assert keys.shape == (3, 2, 4, 3)
    assert torch.equal(keys[:, :, 2:], torch.cat([first, second], dim=2))
    assert torch.equal(values[:, :, 2:], -keys[:, :, 2:])
    assert keys.data_ptr() == held(cache).keys.data_ptr() == place  # a view of the room, not a copy
    assert (cache.get_seq_length(), held(cache).get_max_length(), held(cache).get_mask_sizes(1)) == (4, 4, (5, 0))


def test_samples_leave_and_the_last_take_their_places_in_every_layer() -> None:
    cache, _ = filled()
    before = [held(cache, layer).keys.clone() for layer in range(2)]
    place = held(cache).keys.data_ptr()
    cache.select([2, 1])
    new = block(2, 1, 500)
    for layer in range(2):
        keys, values = cache.update(new, -new, layer)
        assert torch.equal(keys, torch.cat([before[layer][[2, 1], :, :2], new], dim=2))
        assert torch.equal(values[:, :, 1:], -keys[:, :, 1:])
    assert held(cache).keys.data_ptr() == place
    with pytest.raises(IndexError, match="sample 2 of 2"):
        cache.select([2])


class _Renamed(nn.Module):
    """A model of transformers 5.24: the earlier name is taken through a decorator, and warns."""

    def forward(self, input_ids: Tensor, cache: object = None, **more: object) -> Tensor:
        return input_ids


class _Earlier(nn.Module):
    def forward(self, input_ids: Tensor, past_key_values: object = None, **more: object) -> Tensor:
        return input_ids


def test_a_model_is_given_its_cache_under_the_name_that_it_knows() -> None:
    assert cache_argument(_Renamed()) == "cache"
    assert cache_argument(_Earlier()) == "past_key_values"


def test_the_installed_transformers_takes_the_cache_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    body, cache = tiny_model().base_model, DynamicCache()
    with torch.no_grad():
        body(input_ids=torch.tensor([[5, 6, 7]]), use_cache=True, **{cache_argument(body): cache})
    assert cache.get_seq_length() == 3  # the model did write into it
    assert not [str(warning.message) for warning in recwarn if "deprecated" in str(warning.message)]
