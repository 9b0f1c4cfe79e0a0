"""Adapters of several roles on one backbone."""

import pytest
import torch

from preflab.errors import ConfigError
from preflab.models.adapters import AdapterConfig, Adapters, adapter_name
from preflab.models.backends.causal import CausalBackbone
from preflab.models.role_weights import RoleWeights
from preflab.models.tiny import tiny_model


def adapters(*roles: str, layers: int = 2, top_layers: int | None = None) -> Adapters:
    weights = Adapters(CausalBackbone.prepare(tiny_model(layers=layers)), AdapterConfig(rank=2, top_layers=top_layers))
    for role in roles:
        weights.add(role, None)
    return weights


def logits(weights: Adapters, role: str | None) -> torch.Tensor:
    with weights.activate(role) as backbone, torch.no_grad():
        out: torch.Tensor = backbone.model(torch.tensor([[5, 6, 7]])).logits
    return out


def nudge(weights: Adapters, role: str) -> None:
    with torch.no_grad():
        for weight in weights.parameters(role).values():
            weight += 0.1


def test_a_fresh_adapter_changes_nothing_and_a_trained_one_only_its_own_role() -> None:
    weights = adapters("a", "b")
    assert isinstance(weights, RoleWeights)
    start = logits(weights, None)
    assert torch.equal(logits(weights, "a"), start)
    nudge(weights, "a")
    assert not torch.equal(logits(weights, "a"), start)
    assert torch.equal(logits(weights, "b"), start)
    assert torch.equal(logits(weights, None), start)


def test_the_outer_role_is_active_again_after_an_inner_one_and_after_a_new_one() -> None:
    weights = adapters("a", "b")
    nudge(weights, "a")
    expected = logits(weights, "a")
    with weights.activate("a") as backbone, torch.no_grad():
        logits(weights, "b")
        weights.add("c", None)
        assert torch.equal(backbone.model(torch.tensor([[5, 6, 7]])).logits, expected)


def test_all_adapters_take_gradients_whichever_is_active() -> None:
    weights = adapters("a", "b")
    with weights.activate("b"):
        assert all(weight.requires_grad for weight in weights.parameters("a").values())


def test_adapters_are_put_on_the_topmost_layers_only() -> None:
    names = adapters("a", layers=4, top_layers=1).parameters("a")
    assert names and all(".layers.3." in name for name in names)
    assert not any(adapter_name("a") in name for name in names)


def test_a_merged_model_gives_the_roles_logits_and_leaves_the_backbone_alone() -> None:
    weights = adapters("a")
    nudge(weights, "a")
    expected, start = logits(weights, "a"), logits(weights, None)
    merged = weights.merged_model("a")
    assert not any("lora_" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(merged(torch.tensor([[5, 6, 7]])).logits, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(logits(weights, None), start)
    assert weights.settings("a").r == 2


@pytest.mark.parametrize(("setting", "value"), [("rank", 0), ("top_layers", 0), ("alpha", 0.0)])
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ConfigError, match=setting):
        AdapterConfig(**{setting: value})  # type: ignore[arg-type]
