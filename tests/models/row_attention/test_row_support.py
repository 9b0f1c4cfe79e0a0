"""Which models rows may run on, and what is read of them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from preflab.data.rows import Row, collate
from preflab.errors import ModelError
from preflab.models.row_attention.attention import NAME
from preflab.models.row_attention.row_support import Probe, body_of, check_row_support, linear_names, logit_shape
from preflab.models.tiny import tiny_model


def row_model() -> Any:
    model: Any = tiny_model()
    model.set_attn_implementation(NAME)
    return model


def test_linear_layers_are_found_whatever_a_family_calls_them() -> None:
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2))
    assert linear_names(gpt2) == ["c_attn", "c_fc", "c_proj"]
    assert linear_names(tiny_model()) == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


def test_the_shape_of_logits_is_read_from_the_configuration() -> None:
    assert logit_shape(SimpleNamespace()) == {"softcap": None, "scale": 1.0}
    assert logit_shape(SimpleNamespace(logits_scaling=8)) == {"softcap": None, "scale": 0.125}
    assert logit_shape(SimpleNamespace(logit_scale=0.25)) == {"softcap": None, "scale": 0.25}
    assert logit_shape(SimpleNamespace(final_logit_softcapping=30)) == {"softcap": 30.0, "scale": 1.0}
    assert logit_shape(SimpleNamespace(final_logit_softcapping=0)) == {"softcap": None, "scale": 1.0}


def test_the_probe_is_a_row_with_two_branches() -> None:
    tokens = Probe.for_model(tiny_model()).ids[0].tolist()
    expected = collate([Row.of(tokens[:4], tokens[4:8], tokens[8:])])
    probe = Probe.for_model(tiny_model())
    for name in ("ids", "positions", "subtree_start", "subtree_end", "read_at", "predict_at", "targets"):
        assert torch.equal(getattr(probe, name), getattr(expected, name)), name
    assert probe.lengths == expected.lengths


def test_a_model_with_row_attention_passes() -> None:
    model = row_model()
    check_row_support(model)
    assert body_of(model) is model.model


@pytest.mark.parametrize("ignored", ["attention_mask", "position_ids"])
def test_a_model_that_ignores_masks_or_positions_is_refused(ignored: str) -> None:
    model = row_model()
    inner = model.model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        kwargs[ignored] = None
        return inner(*args, **kwargs)

    model.model.forward = forward
    with pytest.raises(ModelError, match="ignores custom positions or masks"):
        check_row_support(model)


def test_a_model_whose_logits_are_not_its_output_layer_is_refused() -> None:
    model = row_model()
    model.lm_head.register_forward_hook(lambda m, i, o: o + torch.arange(o.shape[-1]))
    with pytest.raises(ModelError, match="not its output layer"):
        check_row_support(model)
