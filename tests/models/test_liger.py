"""Liger's kernel, with a stand-in: when it is asked, and the arithmetic around it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from preflab.models import liger
from preflab.models.heads import token_logprobs

ITEMS, HIDDEN, VOCAB = 7, 5, 23


def stand_in(weight: Tensor, hidden: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="none")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liger, "liger_loss", lambda: stand_in)


@pytest.mark.parametrize(
    ("change", "served"),
    [
        ({}, True),
        ({"softcap": 30.0}, False),
        ({"with_entropy": True}, False),
        ({"output_trained": True}, False),
        ({"device": torch.device("cpu")}, False),
    ],
)
@pytest.mark.usefixtures("installed")
def test_it_is_asked_on_a_gpu_where_the_output_layer_is_frozen(change: dict[str, Any], served: bool) -> None:
    asked: dict[str, Any] = {"device": torch.device("cuda"), "output_trained": False, "softcap": None}
    assert liger.liger_serves(**asked | {"with_entropy": False} | change) is served


def test_without_liger_it_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liger, "liger_loss", lambda: None)
    device = torch.device("cuda")
    assert not liger.liger_serves(device, output_trained=False, softcap=None, with_entropy=False)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("temperature", "scale"), [(1.0, 1.0), (0.5, 0.25), (0.7, 1.0)])
def test_values_and_gradients_are_those_of_the_other_path(
    temperature: float, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = torch.Generator().manual_seed(0)
    weight, targets = torch.randn(VOCAB, HIDDEN, generator=g), torch.randint(VOCAB, (ITEMS,), generator=g)
    start, factors = torch.randn(ITEMS, HIDDEN, generator=g), torch.linspace(-1, 1, ITEMS)
    found = []
    for serves in (True, False):
        monkeypatch.setattr("preflab.models.heads.liger_serves", lambda *_, serves=serves, **__: serves)
        hidden = start.clone().requires_grad_()
        logp, _ = token_logprobs(hidden, targets, weight, temperature=temperature, scale=scale)
        (logp * factors).sum().backward()
        found.append((logp.detach(), hidden.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("installed")
def test_without_gradients_only_the_numbers_come() -> None:
    hidden, weight = torch.randn(ITEMS, HIDDEN), torch.randn(VOCAB, HIDDEN)
    targets = torch.arange(ITEMS)
    logp = liger.fused_logprobs(hidden, targets, weight, slope=2.0)
    assert not logp.requires_grad
    torch.testing.assert_close(logp, -stand_in(weight, hidden * 2, targets))
