"""Full copies of a backbone, one a role. Over several processes: tests/test_distributed.py."""

import torch

from preflab.models.backends.causal import CausalBackbone
from preflab.models.role_weights import FullCopies, RoleWeights
from preflab.models.tiny import tiny_model


def copies(dtype: torch.dtype = torch.float32) -> FullCopies:
    return FullCopies(CausalBackbone.prepare(tiny_model().to(dtype)))


def test_each_role_is_a_copy_of_the_backbone_or_of_another_role() -> None:
    weights = copies()
    assert isinstance(weights, RoleWeights)
    weights.add("a", None)
    with torch.no_grad():
        for weight in weights.parameters("a").values():
            weight += 1
    weights.add("b", "a")
    weights.add("c", None)
    start = dict(tiny_model().named_parameters())
    for name, weight in weights.parameters("b").items():
        assert torch.equal(weight, weights.parameters("a")[name]) and weight.requires_grad
        assert torch.equal(weights.parameters("c")[name], start[name])


def test_the_reference_is_the_backbone_itself() -> None:
    weights = copies()
    weights.add("a", None)
    with weights.activate(None) as reference, weights.activate("a") as copied:
        assert reference.model is not copied.model
        assert not any(weight.requires_grad for weight in reference.model.parameters())


def test_only_copies_of_a_bf16_model_run_under_autocast() -> None:
    for dtype, role, mixed in ((torch.bfloat16, "a", True), (torch.bfloat16, None, False), (torch.float32, "a", False)):
        with copies(dtype).autocast(role):
            assert torch.is_autocast_enabled("cpu") is mixed


def test_a_merged_model_is_a_copy_without_gradient() -> None:
    weights = copies()
    weights.add("a", None)
    merged = dict(weights.merged_model("a").named_parameters())
    for name, weight in weights.parameters("a").items():
        assert torch.equal(merged[name], weight) and merged[name] is not weight and not merged[name].requires_grad
