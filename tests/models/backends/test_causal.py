"""A causal language model has all that roles need of a backbone."""

import pytest
import torch

from preflab.data.rows import Row, collate
from preflab.errors import ModelError
from preflab.models.backends.backbone import Backbone
from preflab.models.backends.causal import CausalBackbone
from preflab.models.tiny import tiny_model


def backbone() -> CausalBackbone:
    return CausalBackbone.prepare(tiny_model())


def test_it_is_a_backbone_and_knows_its_sizes() -> None:
    causal = backbone()
    assert isinstance(causal, Backbone)
    assert (causal.hidden_size, causal.depth, causal.dtype) == (32, 2, torch.float32)
    assert causal.device == torch.device("cpu")
    assert causal.output_weight.shape == (261, 32)
    assert causal.logit_shape == {"softcap": None, "scale": 1.0}
    assert "q_proj" in causal.adaptable_layers


def test_preparing_freezes_the_weights_and_refuses_what_ignores_positions() -> None:
    assert not any(weight.requires_grad for weight in backbone().model.parameters())
    model = tiny_model()
    forward = model.model.forward
    model.model.forward = lambda *args, **kwargs: forward(*args, **(kwargs | {"position_ids": None}))
    with pytest.raises(ModelError, match="ignores custom positions or masks"):
        CausalBackbone.prepare(model)


def test_hidden_states_of_a_row_are_those_of_its_branches_alone() -> None:
    causal, row = backbone(), Row.of([5, 6, 7], [8, 9], [10, 11, 12])
    with torch.no_grad():
        hidden = causal.hidden(causal.to_device(collate([row])))[0]
        for start, branch in ((3, [8, 9]), (5, [10, 11, 12])):
            plain = causal.model(input_ids=torch.tensor([[5, 6, 7, *branch]]), output_hidden_states=True)
            expected = plain.hidden_states[-1][0, 3:]
            torch.testing.assert_close(hidden[start : start + len(branch)], expected, rtol=1e-5, atol=1e-5)


def test_it_splits_where_layers_lie_on_both_sides() -> None:
    assert backbone().split_below(1) is not None
    assert backbone().split_below(2) is None


def test_a_trainable_copy_has_weights_of_its_own_in_fp32() -> None:
    source = CausalBackbone(tiny_model().to(torch.bfloat16).requires_grad_(False))
    copied = source.trainable_copy()
    assert copied.dtype == torch.float32 and source.dtype == torch.bfloat16
    assert all(weight.requires_grad for weight in copied.model.parameters())
    with torch.no_grad():
        copied.output_weight.zero_()
    assert bool(source.output_weight.any())
