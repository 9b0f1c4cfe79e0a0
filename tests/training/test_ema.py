"""The moving average of weights: by hand, through a save, and lent to a role for a while."""

import pytest
import torch
from torch import nn

from preflab.errors import ConfigError, ModelError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.training.ema import EMA, weights_of


def test_the_average_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    ema = EMA({"w": weight}, decay=0.9)
    for value in (2.0, 4.0):
        weight.data.fill_(value)
        ema.update()
    # .9 * 1 + .1 * 2 = 1.1; .9 * 1.1 + .1 * 4 = 1.39
    torch.testing.assert_close(ema.state()["w"], torch.tensor([1.39]))


def test_a_half_precision_weight_is_averaged_in_full_precision() -> None:
    weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    ema = EMA({"w": weight}, decay=0.992)
    weight.data.fill_(2.0)
    ema.update()
    torch.testing.assert_close(ema.state()["w"], torch.tensor([1.008]), rtol=1e-6, atol=0)


def test_a_restored_average_goes_on_bit_for_bit_and_a_state_is_a_copy() -> None:
    weight = nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(0)))
    first = EMA({"w": weight}, decay=0.99)
    weight.data.mul_(3.0)
    first.update()
    kept = first.state()
    second = EMA({"w": weight}, decay=0.99)
    second.load_state(kept)
    for ema in (first, second):
        ema.update()
    assert torch.equal(first.state()["w"], second.state()["w"])
    assert not torch.equal(kept["w"], first.state()["w"])


def test_a_state_of_other_weights_and_a_decay_out_of_range_are_refused() -> None:
    ema = EMA({"w": nn.Parameter(torch.ones(1))}, decay=0.5)
    with pytest.raises(ModelError, match="begun without ema_decay"):
        ema.load_state({})
    with pytest.raises(ConfigError, match=r"0\.992"):
        EMA({}, decay=1.0)


def test_a_role_plays_with_lent_weights_and_has_its_own_back() -> None:
    trunk = Trunk(load_language_model("tiny", precision="fp32"), AdapterConfig(rank=2))
    role = trunk.add_role("policy")
    own = role.state()
    lent = {k: v + 1 for k, v in own.items()}
    with pytest.raises(RuntimeError, match="inside"), weights_of(role, lent):
        assert all(torch.equal(v, lent[k]) for k, v in role.state().items())
        raise RuntimeError("inside")
    assert all(torch.equal(v, own[k]) for k, v in role.state().items())
