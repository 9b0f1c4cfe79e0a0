"""Sampling on a processor: 64 prompts x 64 new tokens, against transformers' generate and vLLM's processor build.

The same weights and prompts; every reply runs to its full length, so that all do the same work. Ours also hands out
the log-probability of each token, which the peers are not asked for. transformers at its defaults (top-k 50) and
tuned: plain softmax, all prompts in one batch, padded on the left. vLLM runs in an environment of its own, in one
process that loads the model once and then takes its turn.

    python -m benchmarks.sampling --profile
    python -m benchmarks.sampling --prompts 8 --samples 8
    python -m benchmarks.sampling --vllm-python path/to/its/python

Greedy replies are compared first (fp32, no two of which may differ), and the race is void if they are not equal.
"""

import argparse
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import DTYPES, Contestant, arguments, matmul_rate, prepare, race, report, say
from benchmarks.workload import body_parameters, load_items, load_model, source_of
from preflab.data.load import load_comparisons
from preflab.models.load import LanguageModel, load_language_model
from preflab.models.roles import Role, Trunk
from preflab.models.smollm2 import smollm2_folder
from preflab.rollouts.encoder import Encoder
from preflab.rollouts.generate import SamplingConfig, generate

OURS = "preflab"
Prompts = Sequence[tuple[int, ...]]


def sampler(options: argparse.Namespace) -> tuple[Role, Encoder, Prompts]:
    """The model, an encoder whose replies never end, and prompts of the starter set (or with HH's lengths)."""
    if options.shape == "smollm2":
        source: LanguageModel = load_language_model("smollm2", precision=options.dtype)
    else:
        source = source_of(load_model(options.shape, seed=options.seed).to(DTYPES[options.dtype]), options.shape)
    encoder = Encoder(source.tokenizer, max_tokens=source.context_tokens)
    if options.shape == "smollm2" and not options.hh:
        comparisons = load_comparisons("starter").comparisons
        prompts = list(dict.fromkeys(encoder.prompt(comparison.prompt) for comparison in comparisons))
    else:
        items = load_items(options.hh, n=options.prompts, vocab=source.model.config.vocab_size, seed=options.seed)
        prompts = [item.prefix for item in items]
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(options.seed)).tolist()
    encoder.stop_ids = (-1,)
    source.model.generation_config.eos_token_id = None
    return Trunk(source, None).reference(), encoder, [prompts[i] for i in order[: options.prompts]]


def ours(role: Role, encoder: Encoder, prompts: Prompts, options: argparse.Namespace) -> Contestant:
    """The contestant of this repository."""
    config = SamplingConfig(max_new_tokens=options.new_tokens, max_batch=options.prompts * options.samples)

    def run() -> Mapping[str, float]:
        generator = torch.Generator().manual_seed(options.seed)
        found = generate(role, prompts, encoder, config, n=options.samples, rng=generator)
        new = sum(len(rollout.tokens) for rollouts in found for rollout in rollouts)
        return {"new_tokens": new, "prompt_tokens_run": sum(map(len, set(prompts)))}

    return lambda: run


def transformers(role: Role, encoder: Encoder, prompts: Prompts, options: argparse.Namespace, **how: Any) -> Contestant:
    """``generate`` of transformers, with its own attention."""
    ids, mask = padded(prompts, encoder.pad_id)

    def run() -> Mapping[str, float]:
        with torch.inference_mode(), role.trunk.activate(None) as backbone:
            out = backbone.model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=options.new_tokens,
                do_sample=True,
                num_return_sequences=options.samples,
                pad_token_id=encoder.pad_id,
                **how,
            )
        new = out[:, ids.shape[1] :].numel()
        return {"new_tokens": new, "prompt_tokens_run": ids.numel() * options.samples}

    def set_up() -> Callable[[], Mapping[str, float]]:
        role.trunk.model.set_attn_implementation("sdpa")
        return run

    return set_up


def padded(prompts: Prompts, pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts as ids and mask, padded on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad_id] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return ids, mask


class Vllm:
    """A process of another environment that samples when it is told to."""

    def __init__(self, python: str, prompts: Prompts, options: argparse.Namespace) -> None:
        worker = Path(__file__).with_name("vllm_worker.py")
        self.process = subprocess.Popen(
            [python, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._ask(
            model=str(smollm2_folder()),
            dtype={"fp32": "float32", "bf16": "bfloat16"}[options.dtype],
            threads=options.threads,
            prompts=[list(prompt) for prompt in prompts],
            new_tokens=options.new_tokens,
            samples=options.samples,
        )

    def _ask(self, **what: Any) -> dict[str, float]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(what) + "\n")
        for line in self.process.stdout:
            if line.startswith("{"):
                answer: dict[str, float] = json.loads(line)
                return answer
        raise SystemExit("the vLLM process ended; its messages are above")

    def __call__(self) -> Callable[[], Mapping[str, float]]:
        """One round. Its processor seconds are its own and come among the parts."""
        return lambda: self._ask(go=1)

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()


def check_greedy(role: Role, encoder: Encoder, prompts: Prompts, options: argparse.Namespace) -> None:
    """Both sides' greedy replies to some prompts, one by one on their side, together on ours."""
    config = SamplingConfig(max_new_tokens=options.check_tokens, temperature=0.0)
    some = prompts[: options.check_prompts]
    found = [rollouts[0].tokens for rollouts in generate(role, some, encoder, config)]
    equal = 0
    with torch.inference_mode(), role.trunk.activate(None) as backbone:
        for prompt, tokens in zip(some, found, strict=True):
            ids, mask = padded([prompt], encoder.pad_id)
            theirs = backbone.model.generate(
                ids, attention_mask=mask, max_new_tokens=options.check_tokens, do_sample=False, pad_token_id=0
            )
            equal += theirs[0, len(prompt) :].tolist() == list(tokens)
    say(question="greedy replies equal", equal=equal, of=len(some), tokens_each=options.check_tokens)
    if options.dtype == "fp32" and equal < len(some):
        raise SystemExit("greedy replies differ: the race is void")


def profile(name: str, contestant: Contestant) -> None:
    """Where a contestant's processor time goes, by operation: shares that a busy machine changes little."""
    work = contestant()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        work()
    own = {event.key: event.self_cpu_time_total / 1e6 for event in seen.key_averages()}
    whole = sum(own.values())
    top = sorted(own.items(), key=lambda item: -item[1])[:10]
    shares = {key.removeprefix("aten::"): round(seconds / whole, 3) for key, seconds in top}
    say(question="share of processor time by operation", contestant=name, seconds=round(whole, 2), shares=shares)


def main() -> None:
    """Check, profile where asked, race."""
    parser = arguments("Sampling against transformers and vLLM", shape="smollm2")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--samples", type=int, default=1, help="replies to each prompt")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--check-prompts", type=int, default=8)
    parser.add_argument("--check-tokens", type=int, default=32)
    parser.add_argument("--tuned-only", action="store_true", help="leave transformers' defaults out")
    parser.add_argument("--profile", action="store_true", help="also say which operations the time goes to")
    parser.add_argument("--vllm-python", help="a python that imports vllm; SmolLM2 only")
    options = parser.parse_args()
    prepare(options)
    role, encoder, prompts = sampler(options)
    lengths = [len(prompt) for prompt in prompts]
    say(
        question="work",
        prompts=len(prompts),
        samples=options.samples,
        prompt_tokens=sum(lengths),
        longest=max(lengths),
        new_tokens=options.new_tokens,
        body_parameters=body_parameters(role.trunk.model),
        dtype=options.dtype,
        matmul_gflops=round(matmul_rate("cpu", DTYPES[options.dtype]) / 1e9),
    )
    check_greedy(role, encoder, prompts, options)
    own = role.trunk.model.config._attn_implementation

    def set_up() -> Callable[[], Mapping[str, float] | None]:
        role.trunk.model.set_attn_implementation(own)
        return ours(role, encoder, prompts, options)()

    contestants: dict[str, Contestant] = {
        OURS: set_up,
        "transformers tuned": transformers(role, encoder, prompts, options, top_k=0, temperature=1.0),
    }
    if not options.tuned_only:
        contestants["transformers defaults"] = transformers(role, encoder, prompts, options)
    if options.profile:
        for name, contestant in contestants.items():
            profile(name, contestant)
    vllm = Vllm(options.vllm_python, prompts, options) if options.vllm_python else None
    if vllm:
        contestants["vllm"] = vllm
    timings = race(contestants, repeats=options.repeats)
    if vllm:
        vllm.close()
    report("sampling", timings, ours=OURS, dtype=options.dtype)
    for name, timing in timings.items():
        rates = [part["new_tokens"] / wall for part, wall in zip(timing.parts, timing.wall, strict=True)]
        say(
            question="new tokens per second",
            contestant=name,
            best=round(max(rates), 1),
            all=[round(r, 1) for r in rates],
        )


if __name__ == "__main__":
    main()
