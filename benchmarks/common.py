"""What every race shares: the machine, interleaved repeats, peak memory, one JSON line a result.

Rules: the same weights, token ids, order, loss and optimizer on both sides; equal losses checked before any time
is taken; contestants take turns (A B A B ...), so that a busy minute hits both; counts that do not vary (tokens,
bytes) stand beside every time.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("CI", "1")  # no telemetry from anyone
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def arguments(about: str, **more: Any) -> argparse.ArgumentParser:
    """The options that every benchmark takes; ``more`` are defaults to change."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--hh",
        help="comparisons by any name that preflab loads, HH's for the figures in the docs; else made-up lengths",
    )
    parser.add_argument("--shape", default="9m", help="tiny, tiny-qwen, 9m, 0.6b, 1.7b (random weights), smollm2")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="fp32", choices=list(DTYPES), help="bf16: autocast over fp32 weights")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each contestant, interleaved")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch, on a processor")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--comparisons", type=int, default=64, help="comparisons (or prompts) of one run")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32], help="comparisons per step")
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    parser.add_argument("--max-tokens", type=int, default=2048, help="ours: tokens in a forward pass")
    parser.add_argument("--no-tune", dest="tune", action="store_false", help="the peer: a whole batch a forward pass")
    parser.add_argument("--defaults", action="store_true", help="also the peer as shipped, at the first batch size")
    parser.add_argument("--sorted", action="store_true", help="all comparisons sorted by length, for both sides")
    parser.set_defaults(**more)
    return parser


def prepare(options: argparse.Namespace) -> None:
    """Threads and seeds, and the machine as the first line."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    say(machine=machine(options.device))


def say(**record: Any) -> None:
    """One JSON line, with its day; lines of published tables are kept in results/benchmarks."""
    print(json.dumps(record | {"date": time.strftime("%Y-%m-%d", time.gmtime())}), flush=True)


def command() -> str:
    """What to type to have this run again; a data file by its name alone."""
    module = Path(sys.argv[0]).stem
    return " ".join(["python", "-m", f"benchmarks.{module}", *(_bare(a) for a in sys.argv[1:])])


def _bare(argument: str) -> str:
    return Path(argument).name if "/" in argument else argument


def machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, load and versions: what a time means nothing without."""
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bf16_instructions": bool(probe and probe()),
        "load": [round(x, 2) for x in os.getloadavg()],
        "time": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        "python": platform.python_version(),
    }
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
    for package in ("torch", "transformers", "trl", "vllm", "peft"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


@dataclass
class Timing:
    """Repeats of one contestant, in order."""

    wall: list[float] = field(default_factory=list)
    """Seconds."""
    cpu: list[float] = field(default_factory=list)
    """Processor seconds of all threads."""
    parts: list[dict[str, float]] = field(default_factory=list)
    """Whatever the contestant says of itself: counts, split times."""

    def summary(self) -> dict[str, Any]:
        """Smallest and median seconds, and all of them."""
        return {
            f"{name}_seconds": {
                "min": round(min(xs), 4),
                "median": round(statistics.median(xs), 4),
                "all": [round(x, 4) for x in xs],
            }
            for name, xs in (("wall", self.wall), ("cpu", self.cpu))
        }


Contestant = Callable[[], "Callable[[], Mapping[str, float] | None]"]
"""Called once a repeat, untimed, to set up; what it returns is timed."""


def race(contestants: Mapping[str, Contestant], *, repeats: int, device: str = "cpu") -> dict[str, Timing]:
    """Time the contestants in turns; set-up is not timed.

    The order turns round from repeat to repeat, so that none always runs on a machine warmed by another.
    """
    timings = {name: Timing() for name in contestants}
    for repeat in range(repeats):
        for name in list(contestants)[:: 1 if repeat % 2 == 0 else -1]:
            work = contestants[name]()
            synchronise(device)
            wall, cpu = time.perf_counter(), _cpu_seconds()
            told = work()
            synchronise(device)
            timing = timings[name]
            timing.wall.append(time.perf_counter() - wall)
            timing.cpu.append(_cpu_seconds() - cpu)
            timing.parts.append(dict(told or {}))
            del work
    return timings


def _cpu_seconds() -> float:
    """Of this process and of those it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def synchronise(device: str) -> None:
    """Wait until a GPU has done what it was asked."""
    if device == "cuda":
        torch.cuda.synchronize()


def ratios(peer: Timing, ours: Timing, which: str = "wall") -> dict[str, float]:
    """How many times faster we are: by the minima, by the medians, and the range of the paired repeats."""
    theirs, own = getattr(peer, which), getattr(ours, which)
    paired = [a / b for a, b in zip(theirs, own, strict=True)]
    return {
        "of_minima": round(min(theirs) / min(own), 3),
        "of_medians": round(statistics.median(theirs) / statistics.median(own), 3),
        "lowest": round(min(paired), 3),
        "highest": round(max(paired), 3),
    }


def report(question: str, timings: Mapping[str, Timing], *, ours: str, only: str = "", **more: Any) -> None:
    """One line a contestant (or for ``only`` one of them); peers with the ratio of their time to ours."""
    for name, timing in timings.items():
        if only and name != only:
            continue
        record: dict[str, Any] = {"question": question, "contestant": name, **timing.summary(), **more}
        if timing.parts and timing.parts[0]:
            record["parts"] = {k: [round(p[k], 5) for p in timing.parts] for k in timing.parts[0]}
        if name != ours:
            record["times_ours_wall"] = ratios(timing, timings[ours])
            record["times_ours_cpu"] = ratios(timing, timings[ours], "cpu")
        say(**record, load=[round(x, 2) for x in os.getloadavg()], command=command())


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors that come into being while it is on, and the most that lived at once. On any device."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, Tensor) and t.untyped_storage()._cdata not in before | self._known:
                self._count(t.untyped_storage())
        return out

    def _count(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes of new tensors that are alive at once while ``work`` runs."""
    with LiveBytes() as live:
        work()
    return live.peak


def matmul_rate(device: str, dtype: torch.dtype, *, size: int | None = None, tries: int = 5) -> float:
    """FLOP/s of a large matrix product: the ceiling that shares are taken of."""
    size = size or (8192 if device == "cuda" else 1024)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(tries):
        synchronise(device)
        start = time.perf_counter()
        a @ b
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
