"""Save roles so that other libraries read them: merged full-precision weights in transformers' own formats."""

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from preflab import distributed
from preflab.errors import ModelError, RunError
from preflab.models.load import LanguageModel
from preflab.models.parallel import copy_buffers
from preflab.models.roles import Role


def save_policy(role: Role, folder: Path) -> Path:
    """A folder for ``AutoModelForCausalLM`` and vLLM; adapters are merged into the weights."""
    model: Any = merged_model(role)
    _save(folder, model, role)
    return folder


def save_adapter(role: Role, folder: Path) -> Path:
    """A role's adapter alone, in peft's format: for ``PeftModel.from_pretrained`` and for a vLLM server.

    The same weights always give the same bytes.

    Raises:
        ModelError: the role has no adapter of its own.
    """
    config = role.trunk.adapter_settings(role.name)
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": role.trunk.source.name,
        "inference_mode": True,
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": config.fan_in_fan_out,
        "target_modules": sorted(config.target_modules),
        "layers_to_transform": config.layers_to_transform,
    }
    weights = {
        f"base_model.model.{key}": weight.detach().to("cpu", copy=True).contiguous()
        for key, weight in sorted(role.weights().items())
        if not key.startswith("head.")
    }

    def write(part: Path) -> None:
        part.mkdir(parents=True)
        (part / "adapter_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        save_file(weights, part / "adapter_model.safetensors", metadata={"format": "pt"})

    _replace(folder, write)
    return folder


def save_preference_model(role: Role, folder: Path, *, pad_id: int, chat_template: str | None = None) -> Path:
    """A folder for ``AutoModelForSequenceClassification``.

    That class reads the score at the last token that is not padding, so the configuration names a padding
    token that never ends a reply: with the end-of-turn token as padding it would read one token early.

    Args:
        pad_id         the encoder's padding token.
        chat_template  saved in place of the tokenizer's own: one whose text ends where the score is read.

    Raises:
        ModelError: this architecture has no sequence classifier in transformers.
    """
    model: Any = merged_model(role)
    classifier = _empty_classifier(model, pad_id=pad_id)
    classifier = classifier.to_empty(device="cpu").float()
    body = classifier.base_model
    missing, unexpected = body.load_state_dict(model.base_model.state_dict(), strict=False)
    if missing or unexpected:
        raise ModelError(f"the classifier's body differs: missing {missing[:3]}, unexpected {unexpected[:3]}")
    copy_buffers(model.base_model, body)
    with torch.no_grad():
        classifier.score.weight.copy_(role.head.weight)
    _save(folder, classifier, role, pad_token=pad_id, chat_template=chat_template)
    return folder


def check_savable(source: LanguageModel, folder: Path, *, preference_models: int, policies: int) -> None:
    """Find out before anything is trained what would stop these models from being saved.

    Args:
        folder  where they will lie.

    Raises:
        ModelError: the architecture has no sequence classifier in transformers.
        RunError: the disk has no room for them.
    """
    if preference_models:
        _empty_classifier(source.model, pad_id=0)
    parameters = sum(weight.numel() for weight in source.model.parameters())
    needed = 4 * parameters * (preference_models + policies)  # bytes; models are saved in fp32
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"{folder}: the models of this run take {needed / 1e9:.1f} GB when they are saved, and the disk has "
            f"{free / 1e9:.1f} GB left; make room, or put the run elsewhere (--runs)"
        )


def _empty_classifier(model: Any, *, pad_id: int) -> Any:
    """A sequence classifier of a language model's architecture, without weights."""
    from transformers import AutoModelForSequenceClassification

    config = copy.deepcopy(model.config)
    config.num_labels = 1
    config.pad_token_id = pad_id
    try:
        with torch.device("meta"):
            return AutoModelForSequenceClassification.from_config(config)
    except ValueError as error:
        raise ModelError(f"transformers has no sequence classifier for {type(model).__name__}") from error


def merged_model(role: Role) -> nn.Module:
    """A copy of the causal language model with this role's adapter merged in, in full precision.

    Raises:
        ModelError: the role is the reference.
    """
    if role.name is None:
        raise ModelError("the reference is the model as it was loaded; there is nothing to save")
    return role.trunk.merged_model(role.name)


def _save(folder: Path, model: Any, role: Role, pad_token: int | None = None, chat_template: str | None = None) -> None:
    """A whole model with its tokenizer."""
    tokenizer: Any = copy.deepcopy(role.trunk.source.tokenizer)
    if pad_token is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad_token)
    if chat_template is not None:
        tokenizer.chat_template = chat_template

    def write(part: Path) -> None:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)

    _replace(folder, write)


def _replace(folder: Path, write: Callable[[Path], None]) -> None:
    """Write beside, then swap in, so that a full disk or a kill leaves the old folder whole; the first rank does."""
    with distributed.rank_zero_first() as is_writer:
        if is_writer:
            _swap(folder, write)


def _swap(folder: Path, write: Callable[[Path], None]) -> None:
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    old = folder.with_name(folder.name + ".old")
    try:
        write(part)
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            os.replace(folder, old)
        os.replace(part, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        raise RunError(f"{folder}: the model cannot be saved ({getattr(error, 'strerror', None) or error})") from error
    shutil.rmtree(old, ignore_errors=True)
