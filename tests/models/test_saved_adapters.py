"""Folders with an adapter alone: merged into the model that they name, or refused with what is missing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from preflab.errors import ModelError
from preflab.models.load import load_language_model, load_tokenizer
from preflab.models.saved_adapters import base_of_adapter
from preflab.models.tiny import tiny_model, tiny_tokenizer


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """peft's folder of an adapter that changes the model, beside the folder of its model."""
    tiny_model().save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model: Any = get_peft_model(tiny_model(), config)
    generator = torch.Generator().manual_seed(1)
    for key, weight in model.named_parameters():
        if "lora_B" in key:
            weight.data.normal_(std=0.5, generator=generator)
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def change_settings(folder: Path, **settings: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize("has_config", [False, True])
def test_an_adapter_is_merged_into_the_model_that_it_names(adapter: Path, has_config: bool) -> None:
    if has_config:
        shutil.copy(adapter.parent / "base" / "config.json", adapter)
    loaded = load_language_model(str(adapter), precision="fp32")
    key = "layers.0.self_attn.q_proj.weight"
    base = tiny_model().model.get_parameter(key)
    saved = {k: v for k, v in torch_weights(adapter).items() if "layers.0.self_attn.q_proj" in k}
    down, up = (next(v for k, v in saved.items() if name in k) for name in ("lora_A", "lora_B"))
    expected = base + 8 / 4 * up @ down  # alpha / rank times the product
    torch.testing.assert_close(loaded.model.base_model.get_parameter(key), expected)
    assert not any("lora" in name for name, _ in loaded.model.named_parameters())
    assert loaded.tokenizer.chat_template == tiny_tokenizer().chat_template  # its model's: it has none of its own
    assert load_tokenizer(str(adapter)).chat_template == loaded.tokenizer.chat_template


def torch_weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def test_a_folder_with_a_whole_model_is_that_model(adapter: Path) -> None:
    assert base_of_adapter(str(adapter)) == str(adapter.parent / "base")
    shutil.copy(adapter.parent / "base" / "model.safetensors", adapter)
    assert base_of_adapter(str(adapter)) is None


def test_an_adapter_without_a_model_or_of_another_kind_or_for_another_model_is_refused(adapter: Path) -> None:
    change_settings(adapter, base_model_name_or_path=None)
    with pytest.raises(ModelError, match="base_model_name_or_path names no model"):
        load_language_model(str(adapter))
    change_settings(adapter, base_model_name_or_path=str(adapter.parent / "nowhere"))
    with pytest.raises(ModelError, match="nowhere: no such folder"):
        load_language_model(str(adapter))
    tiny_model(hidden=64).save_pretrained(adapter.parent / "wider")
    change_settings(adapter, base_model_name_or_path=str(adapter.parent / "wider"))
    with pytest.raises(ModelError, match=r"cannot be merged into .*wider"):
        load_language_model(str(adapter))
    change_settings(adapter, peft_type="PROMPT_TUNING")
    with pytest.raises(ModelError, match="an adapter of kind PROMPT_TUNING; expected LORA"):
        load_language_model(str(adapter))
