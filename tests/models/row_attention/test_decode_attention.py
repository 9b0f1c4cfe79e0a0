"""One token a sample against softmax written out in float64; empty columns are not read."""

import pytest
import torch
from torch import Tensor

from preflab.models.row_attention import decode_attention
from preflab.models.row_attention.decode_attention import DecodeLayout, SampleGroup


def brute(query: Tensor, key: Tensor, value: Tensor, starts: list[int], scaling: float) -> Tensor:
    """Sample by sample, head by head."""
    out = torch.zeros(*query.shape[:3], value.shape[-1], dtype=torch.float64)
    share = query.shape[1] // key.shape[1]
    for s, first in enumerate(starts):
        for h in range(query.shape[1]):
            k, v = (t[s, h // share, first:].double() for t in (key, value))
            out[s, h, 0] = torch.softmax(scaling * (k @ query[s, h, 0].double()), 0) @ v
    return out


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize("together", [1, 2, 3, 16])
@pytest.mark.parametrize("starts", [[3, 3, 2, 0, 5], [2, 2, 2, 2, 2], [0, 0, 0, 1, 0]], ids=str)
def test_attention_is_the_softmax_over_what_each_sample_holds(
    heads: int, groups: int, together: int, starts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode_attention, "GROUP_SIZE", together)
    g = torch.Generator().manual_seed(0)
    room, columns = 12, 9
    query = torch.randn(5, heads, 1, 8, generator=g)
    key, value = (torch.randn(5, groups, room, 8, generator=g)[:, :, :columns] for _ in range(2))
    seen = torch.arange(room) >= torch.tensor(starts)[:, None]
    found = decode_attention.decode_attention(query, key, value, DecodeLayout(starts, seen), 0.3)
    expected = brute(query, key, value, starts, 0.3)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_neighbours_that_begin_together_are_one_group_and_columns_before_them_are_left_out() -> None:
    starts = [40] * 20 + [38] * 14 + [10, 20]
    layout = DecodeLayout(starts, torch.arange(64) >= torch.tensor(starts)[:, None])
    assert layout.groups == [
        SampleGroup(slice(0, 16), 40, True),
        SampleGroup(slice(16, 32), 38, False),  # four of 40 and twelve of 38
        SampleGroup(slice(32, 36), 10, False),
    ]
    assert DecodeLayout([7] * 40, torch.ones(40, 9, dtype=torch.bool)).groups == [SampleGroup(slice(0, 40), 7, True)]
    assert layout.additive(layout.groups[0], 50, torch.float32) is None
    mask = layout.additive(layout.groups[2], 50, torch.float32)
    assert mask is not None
    assert mask.shape == (4, 1, 1, 40)
    assert (mask == 0).sum(-1).flatten().tolist() == [50 - 38, 50 - 38, 40, 30]
