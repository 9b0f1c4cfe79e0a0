"""Loading by name: what is found, what is refused with which words, and that local names open no socket."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from preflab.errors import ConfigError, ModelError
from preflab.models.load import LanguageModel, load_language_model, torch_device, torch_dtype, weights_sha256
from preflab.models.tiny import tiny_model, tiny_tokenizer

STORIES = Path(__file__).parents[3] / "shared/data/models/stories260k"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny_model().save_pretrained(tmp_path / "saved")
    tiny_tokenizer().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    # the hub must be free to be asked, or the test would show nothing
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def test_tiny_is_the_same_every_time_and_needs_no_network(no_sockets: None) -> None:
    first, second = load_language_model("tiny"), load_language_model("tiny", precision="bf16")
    assert first.sha256 == second.sha256
    assert first.model.dtype == torch.float32
    assert first.context_tokens == 4096


def test_a_saved_folder_needs_no_network_and_gives_the_same_weights(saved: Path, no_sockets: None) -> None:
    found = load_language_model(str(saved), precision="fp32")
    assert found.sha256 == weights_sha256(tiny_model())
    assert found.location == str(saved)
    assert not found.model.training
    assert found.model.config._attn_implementation == "sdpa"
    assert found.tokenizer("<|end|>a", add_special_tokens=False)["input_ids"] == [1, 69]
    assert found.tokenizer.chat_template


@pytest.mark.skipif(not STORIES.is_dir(), reason="the shared stories260k model is not beside the repository")
def test_a_real_folder(no_sockets: None) -> None:
    found = load_language_model(str(STORIES), precision="fp32")
    assert found.context_tokens == 512
    assert load_language_model(str(STORIES), precision="bf16").sha256 != found.sha256  # the dtype is part of it


def test_the_context_ends_with_the_sliding_window() -> None:
    model = tiny_model()
    assert LanguageModel(model, tiny_tokenizer(), "", "", "").context_tokens == 4096
    model.config.sliding_window = 512
    assert LanguageModel(model, tiny_tokenizer(), "", "", "").context_tokens == 512


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/no/such/folder", "no such folder, and not a hub id"),
        ("./nothing/here", "no such folder, and not a hub id"),
        ("a/b/c", "no such folder, and not a hub id"),
        ("/no/such/model.gguf", "no such file"),
    ],
)
def test_what_is_not_there_is_refused_without_asking_anyone(name: str, message: str, no_sockets: None) -> None:
    with pytest.raises(ModelError, match=message):
        load_language_model(name)


def test_an_unknown_hub_id_without_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"nobody/nothing: .*HF_HUB_OFFLINE is set.*'smollm2', 'tiny'"):
        load_language_model("nobody/nothing")


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"without config\.json"):
        load_language_model(str(tmp_path))


def test_a_file_that_is_no_gguf_leaves_nothing_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.gguf").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be read as a GGUF"):
        load_language_model(str(tmp_path / "x.gguf"))
    assert not list(tmp_path.glob("cache/gguf/*/*"))


def _cut_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _resize(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_cut_weights, "would be random: model.layers.1.mlp.up_proj.weight"),
        (_resize, "cannot be loaded"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x10" * 100), "cannot be loaded"),
        (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be loaded"),
        (lambda f: (f / "config.json").write_text('{"model_type": "vit"}'), "cannot be loaded"),
        (lambda f: (f / "config.json").write_text('{"model_type": "unheard_of"}'), "cannot be loaded"),
    ],
)
def test_a_damaged_folder_is_refused_and_never_filled_up_with_random_weights(
    saved: Path, harm: Any, message: str
) -> None:
    harm(saved)
    with pytest.raises(ModelError, match=message):
        load_language_model(str(saved))


def test_the_hash_sees_values_names_types_and_shapes() -> None:
    def of(**tensors: torch.Tensor) -> str:
        module = torch.nn.Module()
        for name, tensor in tensors.items():
            module.register_buffer(name, tensor)
        return weights_sha256(module)

    x = torch.tensor([1.0, 2.0])
    assert of(a=x) == of(a=x.clone())
    others = [of(a=x + 1), of(b=x), of(a=x.bfloat16()), of(a=x[:, None]), of(a=x, b=x), of(a=torch.tensor(1.0))]
    assert len({of(a=x), *others}) == 7


def test_precision() -> None:
    assert torch_dtype("fp32") == torch.float32
    assert torch_dtype("bf16") == torch.bfloat16
    assert torch_dtype("auto") in (torch.float32, torch.bfloat16)


def test_a_folder_may_be_moved(saved: Path, tmp_path: Path) -> None:
    shutil.move(saved, tmp_path / "else where")
    assert load_language_model(str(tmp_path / "else where")).name.endswith("else where")


def test_without_a_gpu_everything_lies_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_device("auto") == torch.device("cpu")
    assert load_language_model("tiny", device="cpu").model.device == torch.device("cpu")


def test_a_gpu_is_taken_where_there_is_one_and_bf16_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert torch_device("auto") == torch.device("cuda:0")
    assert torch_device("cuda:1") == torch.device("cuda:1")
    assert torch_dtype("auto", torch.device("cuda:0")) == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "message"), [("gpu", "expected auto, cpu"), ("mps", "run on cpu and cuda"), ("cuda:7", "torch sees")]
)
def test_a_device_that_is_not_there_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        torch_device(name)


# broken weights and adapters -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(saved: Path, value: float) -> None:
    weights = load_file(saved / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = value
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    message = r"1 of its weights hold NaN or infinity, the first of them model\.layers\.1\.mlp\.up_proj\.weight"
    with pytest.raises(ModelError, match=message):
        load_language_model(str(saved), precision="fp32")


def test_rows_of_the_embedding_are_those_of_the_model_and_not_of_the_tokenizer(saved: Path) -> None:
    loaded = load_language_model(str(saved), precision="fp32")
    loaded.tokenizer.add_tokens(["weather"])
    assert (loaded.embedding_rows, len(loaded.tokenizer)) == (261, 262)
