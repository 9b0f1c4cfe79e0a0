"""Folders that hold an adapter in place of a model (peft's): which model it belongs to, and the two merged."""

import json
from pathlib import Path
from typing import Any

from preflab.errors import ModelError

_SETTINGS = "adapter_config.json"
_WHOLE_MODEL = (
    "model*.safetensors",
    "model*.safetensors.index.json",
    "pytorch_model*.bin",
    "pytorch_model*.index.json",
)
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and not a whole model beside it."""
    return (folder / _SETTINGS).is_file() and not any(any(folder.glob(pattern)) for pattern in _WHOLE_MODEL)


def base_of_adapter(location: str) -> str | None:
    """Name of the model that the adapter in a folder belongs to; None where the folder holds none.

    Raises:
        ModelError: the adapter does not say, or is of a kind that cannot be merged into a model.
    """
    folder = Path(location)
    if not folder.is_dir() or not is_adapter(folder):
        return None
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{folder / _SETTINGS}: cannot be read: {error}") from error
    base, kind = settings.get("base_model_name_or_path"), str(settings.get("peft_type"))
    if kind != "LORA":
        raise ModelError(
            f"{location}: an adapter of kind {kind}; expected LORA. Merge it with peft (merge_and_unload) if it can "
            "be, and name the folder of the merged model"
        )
    if not base:
        raise ModelError(
            f"{folder / _SETTINGS}: base_model_name_or_path names no model, so the adapter has none to be merged "
            "into; put the name of its model there"
        )
    return str(base)


def merge_adapter(model: Any, location: str) -> Any:
    """The model with the adapter of a folder merged into its weights.

    Raises:
        ModelError: the adapter does not fit the model.
    """
    from peft import PeftModel

    name = model.config.name_or_path
    try:
        return PeftModel.from_pretrained(model, location).merge_and_unload()
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise ModelError(
            f"{location}: this adapter cannot be merged into {name}, which its {_SETTINGS} names: {error}"
        ) from error


def tokenizer_location(location: str) -> str:
    """Where the tokenizer of a model lies: with an adapter that has none of its own, at the adapter's model."""
    base = base_of_adapter(location)
    has_own = any((Path(location) / name).is_file() for name in _TOKENIZER)
    return location if base is None or has_own else base
