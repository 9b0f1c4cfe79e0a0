"""What test_vllm.py runs in two processes: an engine of which the first process alone speaks with the server."""

import sys
from pathlib import Path

import torch

from preflab import distributed
from preflab.data.dialogue import Dialogue
from preflab.errors import SamplerError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import load_language_model
from preflab.models.roles import Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import SamplingConfig
from preflab.rollouts.servers.remote import ServerConfig
from preflab.rollouts.servers.vllm import VLLMConfig, VLLMEngine


def main(url: str, folder: Path) -> None:
    source = load_language_model("tiny", precision="fp32")
    encoder = Encoder(source.tokenizer, max_tokens=120)
    prompts = [encoder.prompt(Dialogue.of(text)) for text in ("hi", "what now?")]
    config = VLLMConfig(server=ServerConfig(retries=0))
    for adapters in (AdapterConfig(rank=4), None):
        role = Trunk(source, adapters).add_role("policy")
        g = torch.Generator().manual_seed(1)
        state = {k: distributed.full_tensor(w) for k, w in role.state().items()}
        changed = {k: w + 0.05 * torch.randn(w.shape, generator=g) for k, w in state.items()}
        role.load_state({k: distributed.shard_like(w, role.state()[k]) for k, w in changed.items()})
        engine = VLLMEngine(url, encoder, folder / "weights", config)
        engine.push(role, 3)
        found = engine.generate(prompts, SamplingConfig(max_new_tokens=8), n=2, seed=5)
        name = "whole" if adapters is None else "adapter"
        torch.save([[(r.tokens, r.version) for r in rs] for rs in found], folder / f"{name}{distributed.rank()}.pt")
        engine.close()
        source = load_language_model("tiny", precision="fp32")
    try:
        VLLMEngine("http://127.0.0.1:9", encoder, folder / "weights", config).push(role, 0)
    except SamplerError as error:  # on every rank, so that all of them save and stop
        (folder / f"error{distributed.rank()}").write_text(str(error))


if __name__ == "__main__":
    with distributed.process_group(timeout_seconds=120):
        main(sys.argv[1], Path(sys.argv[2]))
