"""Small policies with adapters, and how far rollouts lie from the trainer."""

import torch

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.models.adapters import AdapterConfig
from preflab.models.load import LanguageModel
from preflab.models.roles import Role, Trunk
from preflab.models.tiny import tiny_model, tiny_tokenizer
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.score import logprob_rows
from preflab.rollouts.servers.remote import ServerConfig
from preflab.rollouts.servers.vllm import VLLMConfig

QUICK = VLLMConfig(server=ServerConfig(retries=2, backoff_seconds=0.001, timeout_seconds=10.0))


EIGHT = SamplingConfig(max_new_tokens=8)


LORA = AdapterConfig(rank=4, alpha=8.0)


def trunk(adapters: AdapterConfig | None = LORA) -> Trunk:
    return Trunk(LanguageModel(tiny_model(), tiny_tokenizer(), "tiny", "/models/tiny", ""), adapters)


def stir(role: Role, seed: int, size: float = 0.2) -> Role:
    """Weights that do something."""
    g = torch.Generator().manual_seed(seed)
    state = role.state()
    role.load_state({k: w + size * torch.randn(w.shape, generator=g) for k, w in state.items()})
    return role


def encoder() -> Encoder:
    return Encoder(tiny_tokenizer(), max_tokens=120)


def prompts(*texts: str) -> list[tuple[int, ...]]:
    return [encoder().prompt(Dialogue.of(text)) for text in texts or ("hi", "what now?", "hi")]


def gap(role: Role, rollouts: list[list[Rollout]], temperature: float = 1.0) -> float:
    """Largest difference between the rollouts' log-probabilities and the trainer's, nats."""
    rows = [Row.of(rs[0].prompt, *(r.tokens for r in rs)) for rs in rollouts]
    own = logprob_rows(role, rows, temperature=temperature)
    pairs = [(a, r) for row, rs in zip(own, rollouts, strict=True) for a, r in zip(row, rs, strict=True)]
    return max(float((a - torch.tensor(r.logprobs)).abs().max()) for a, r in pairs)
