"""Save roles so that other libraries read them: merged full-precision weights in transformers' own formats."""

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from preflab import ranks
from preflab.errors import ModelError, RunError
from preflab.models.parallel import copy_buffers, copy_of
from preflab.models.roles import Role, adapter_name


def save_policy(role: Role, folder: Path) -> Path:
    """A folder for ``AutoModelForCausalLM`` and vLLM; adapters are merged into the weights."""
    model: Any = merged(role)
    _save(folder, model, role)
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
    from transformers import AutoModelForSequenceClassification

    trunk: Any = merged(role)
    config = copy.deepcopy(trunk.config)
    config.num_labels = 1
    config.pad_token_id = pad_id
    try:
        with torch.device("meta"):
            classifier: Any = AutoModelForSequenceClassification.from_config(config)
    except ValueError as error:
        raise ModelError(f"transformers has no sequence classifier for {type(trunk).__name__}") from error
    classifier = classifier.to_empty(device="cpu").float()
    body = classifier.base_model
    missing, unexpected = body.load_state_dict(trunk.base_model.state_dict(), strict=False)
    if missing or unexpected:
        raise ModelError(f"the classifier's trunk differs: missing {missing[:3]}, unexpected {unexpected[:3]}")
    copy_buffers(trunk.base_model, body)
    with torch.no_grad():
        classifier.score.weight.copy_(role.head.weight)
    _save(folder, classifier, role, pad_token=pad_id, chat_template=chat_template)
    return folder


def merged(role: Role) -> nn.Module:
    """A copy of the causal language model with this role's adapter merged in, in full precision."""
    trunk = role.trunk
    if role.name is None:
        raise ModelError("the reference is the model as it was loaded; there is nothing to save")
    body = trunk._body_of.get(role.name, role.name)  # a role that is only a head reads another's body
    if trunk.adapters is None:
        own: nn.Module = copy_of(trunk._copies[body])
        return own.requires_grad_(False)
    with trunk.playing(role.name):
        whole: Any = copy.deepcopy(trunk._peft)
    whole = whole.float()
    model: nn.Module = whole.merge_and_unload(adapter_names=[adapter_name(body)])
    return model.requires_grad_(False)


def _save(folder: Path, model: Any, role: Role, pad_token: int | None = None, chat_template: str | None = None) -> None:
    """Write beside, then swap in, so that a full disk or a kill leaves the old folder whole; the first rank does."""
    with ranks.first_does() as mine:
        if mine:
            _write(folder, model, role, pad_token, chat_template)


def _write(folder: Path, model: Any, role: Role, pad_token: int | None, chat_template: str | None) -> None:
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    old = folder.with_name(folder.name + ".old")
    tokenizer: Any = copy.deepcopy(role.trunk.source.tokenizer)
    if pad_token is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad_token)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    try:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
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
