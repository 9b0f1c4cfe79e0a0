"""A run is a folder: resolved settings, what it ran on, metrics, results of stages, checkpoints, a report.

A recipe is a sequence of stages. Kill it at any moment and start it again: finished stages are read
back, the stage that was cut off continues from its last checkpoint, and ``metrics.jsonl`` is cut back
to that checkpoint, so that nothing stands there twice. Every file is replaced atomically.

    <folder>/config.json    settings, resolved        record.json   versions, machine, data hashes, counts
             metrics.jsonl  one line a step           results/      one file a finished stage
             checkpoints/   the stage under way       state.json    where things stand; written last

Several processes (`preflab.distributed`) share one run: the first writes, the others follow its state.
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import platform
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflab import distributed
from preflab.checkpoint import load_tensors, remove, save_tensors
from preflab.errors import RunError
from preflab.progress import Advance, progress

if TYPE_CHECKING:
    from torch import Tensor

VERSIONED = ("preflab", "torch", "transformers", "peft", "safetensors", "numpy")


class Run:
    """One run folder, open for work. Use as a context manager; one process at a time.

    ``free`` names settings that may differ when a run is taken up again (how far to go, say).

    Raises:
        RunError: the folder belongs to other settings, is in use, or cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        config: Any,
        *,
        recipe: str,
        seed: int = 0,
        checkpoint_seconds: float = 20.0,
        quiet: bool = False,
        free: Sequence[str] = (),
    ) -> None:
        self.folder, self.recipe, self.seed = Path(folder), recipe, seed
        self.quiet = quiet or not distributed.is_rank_zero()
        self.checkpoint_seconds = checkpoint_seconds
        self.resumed = False
        self._state: dict[str, Any] = {}
        self._lock: Any = None
        self._metrics: Any = None
        with distributed.rank_zero_first() as mine:
            if mine:
                self._open(config, free)
        self.resumed, self._state = distributed.broadcast((self.resumed, self._state))
        self._stage_started = time.monotonic()
        self._last_checkpoint = time.monotonic()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        for file in (self._metrics, self._lock):
            if file is not None:
                file.close()

    def _open(self, config: Any, free: Sequence[str]) -> None:
        with _disk(self.folder):
            for part in ("results", "checkpoints"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / ".lock").open("w")
        try:
            self._lock_folder()
            self._take_config(config, free)
            self._state = self._read_state()
            self._open_metrics()
        except BaseException:
            self._lock.close()
            raise

    def _lock_folder(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(f"{self.folder} is in use by another process") from error

    # what the run is -------------------------------------------------------------------------------------

    def _take_config(self, config: Any, free: Sequence[str]) -> None:
        """Refuse other settings than the folder was made with, but for the free ones."""
        resolved = json.loads(json.dumps(to_json(config)))
        before: dict[str, Any] | None = None
        path = self.folder / "config.json"
        if path.exists():
            found = read_json(path)
            before = dict(found.get("config", {}))
            was, now = (dotted({k: v for k, v in c.items() if k not in free}) for c in (before, resolved))
            different = [k for k in sorted(was.keys() | now.keys()) if was.get(k) != now.get(k)]
            if found.get("recipe") != self.recipe or different:
                what = "; ".join(f"{k} was {was.get(k)!r:.60}, now {now.get(k)!r:.60}" for k in different[:4])
                raise RunError(
                    f"{self.folder} holds a run of {found.get('recipe')} with other settings ({what or 'recipe'}). "
                    "Give this run another name, or --fresh to begin it anew."
                )
            self.resumed = (self.folder / "state.json").exists()
        if not path.exists() or before != resolved:
            write_json(path, {"recipe": self.recipe, "config": resolved})
        if not (self.folder / "record.json").exists():
            write_json(self.folder / "record.json", {"made_by": machine_record(), "data": {}, "counts": {}})

    def record(self, section: str, **facts: Any) -> None:
        """Add facts to ``record.json``: hashes of data and weights, counts of what was left out."""
        if not distributed.is_rank_zero():
            return
        path = self.folder / "record.json"
        record = read_json(path)
        record.setdefault(section, {}).update(to_json(facts))
        write_json(path, record)

    def recorded(self, section: str) -> dict[str, Any]:
        """What ``record`` has put there so far."""
        return dict(read_json(self.folder / "record.json").get(section, {}))

    def seed_of(self, purpose: str) -> int:
        """A seed for one purpose, independent of all others and of the order of asking."""
        return (self.seed * 2_654_435_761 + zlib.crc32(purpose.encode())) % 2**31

    # metrics ---------------------------------------------------------------------------------------------

    def _open_metrics(self) -> None:
        """Cut ``metrics.jsonl`` back to what the state vouches for."""
        path = self.folder / "metrics.jsonl"
        with _disk(path):
            path.touch()
            with path.open("r+b") as file:
                file.truncate(min(path.stat().st_size, int(self._state["metrics_bytes"])))
            self._metrics = path.open("ab")

    def log(self, stage: str, **numbers: Any) -> None:
        """One line of ``metrics.jsonl``."""
        if self._metrics is None:
            return
        with _disk(self.folder / "metrics.jsonl"):
            self._metrics.write(json.dumps({"stage": stage, **to_json(numbers)}).encode() + b"\n")
            self._metrics.flush()

    def metrics(self, stage: str | None = None) -> list[dict[str, Any]]:
        """The lines logged so far, of one stage or all."""
        return read_metrics(self.folder, stage)

    # stages ----------------------------------------------------------------------------------------------

    def stage(self, name: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The result of a stage: read back if it has finished before, otherwise worked out and kept.

        ``work`` returns what JSON can hold. Wall time, resumed parts included, is added as ``seconds``.
        """
        path = self.folder / "results" / f"{name}.json"
        if name in self._state["done"]:
            return dict(read_json(path))
        self._stage_started = self._last_checkpoint = time.monotonic()
        result = to_json(dict(work()))
        with distributed.rank_zero_first() as mine:
            self._state["done"].append(name)
            if mine:
                result["seconds"] = round(self._seconds(name), 3)
                write_json(path, result)
                self._commit(name, checkpoint=None)
        return distributed.broadcast(dict(read_json(path)) if mine else {})

    def result(self, name: str) -> dict[str, Any]:
        """The result of a finished stage."""
        return read_json(self.folder / "results" / f"{name}.json")

    def keep(self, name: str, key: str, value: Any) -> None:
        """Keep a piece of a stage's work (a chunk of samples), so that a kill does not cost it."""
        if not distributed.is_rank_zero():
            return
        path = self.folder / "results" / f"{name}.jsonl"
        with _disk(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "value": value}) + "\n")

    def kept(self, name: str) -> dict[str, Any]:
        """Pieces kept so far; a last line that a kill cut off is not one, and is removed."""
        with distributed.rank_zero_first() as mine:
            found = self._read_kept(name) if mine else {}
        return distributed.broadcast(found)

    def _read_kept(self, name: str) -> dict[str, Any]:
        path = self.folder / "results" / f"{name}.jsonl"
        if not path.exists():
            return {}
        whole = path.read_bytes()
        lines = whole[: whole.rfind(b"\n") + 1]
        if len(lines) < len(whole):
            with _disk(path):
                os.truncate(path, len(lines))
        return {p["key"]: p["value"] for p in map(json.loads, lines.splitlines())}

    def forget(self, name: str) -> None:
        """Have a finished stage done again."""
        self._state["done"].remove(name)
        if distributed.is_rank_zero():
            write_json(self.folder / "state.json", self._state)

    def is_done(self, name: str) -> bool:
        """Whether a stage has finished."""
        return name in self._state["done"]

    def checkpoint(self, stage: str, tensors: Callable[[], Mapping[str, "Tensor"]], *, force: bool = False) -> bool:
        """Save the stage under way if the last save is long enough ago; True if it was saved."""
        if not force and not distributed.broadcast(time.monotonic() - self._last_checkpoint >= self.checkpoint_seconds):
            return False
        number = int(self._state.get("number", 0)) + 1
        path = self.folder / "checkpoints" / f"{stage}-{number:06d}"
        with _disk(path):
            path = save_tensors(tensors(), path)
        with distributed.rank_zero_first() as mine:
            self._state["number"], self._state["checkpoint"] = number, path.name
            if mine:
                self._commit(stage, checkpoint=path.name)
        self._last_checkpoint = time.monotonic()
        return True

    def resume(self, stage: str) -> dict[str, "Tensor"] | None:
        """What the last checkpoint of this stage holds, whatever number of processes saved it; None if there is none.

        Raises:
            RunError: the checkpoint is damaged.
        """
        name = self._state.get("checkpoint")
        if name is None or not name.startswith(f"{stage}-"):
            return None
        return load_tensors(self.folder / "checkpoints" / name)

    def save_weights(self, name: str, tensors: Mapping[str, "Tensor"]) -> Path:
        """Keep weights that later stages need, atomically and whole, however many processes hold them."""
        from safetensors.torch import save_file

        path = self.folder / "checkpoints" / f"{name}.safetensors"
        together = {k: distributed.full_tensor(v).contiguous() for k, v in tensors.items()}
        with distributed.rank_zero_first() as mine, _disk(path):
            if mine:
                save_file(together, path.with_suffix(".part"))
                os.replace(path.with_suffix(".part"), path)
        return path

    def load_weights(self, name: str) -> dict[str, "Tensor"]:
        """What ``save_weights`` kept."""
        return load_tensors(self.folder / "checkpoints" / f"{name}.safetensors")

    def _seconds(self, stage: str) -> float:
        return float(self._state["seconds"].get(stage, 0.0)) + time.monotonic() - self._stage_started

    def _commit(self, stage: str, *, checkpoint: str | None) -> None:
        """Move the state forward in one replace; then remove what it no longer needs."""
        self._state["seconds"][stage] = self._seconds(stage)
        self._stage_started = time.monotonic()
        self._state["checkpoint"] = checkpoint
        self._metrics.flush()
        self._state["metrics_bytes"] = (self.folder / "metrics.jsonl").stat().st_size
        write_json(self.folder / "state.json", self._state)
        for old in (self.folder / "checkpoints").glob("*-[0-9][0-9][0-9][0-9][0-9][0-9]*"):
            if old.name != checkpoint:
                remove(old)

    def _read_state(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        if not path.exists():
            return {"done": [], "checkpoint": None, "metrics_bytes": 0, "seconds": {}, "number": 0}
        return read_json(path)

    # progress --------------------------------------------------------------------------------------------

    def progress(self, label: str, total: int, unit: str, done: int = 0) -> AbstractContextManager[Advance]:
        """A bar with rate and time left on a terminal, a line every ten seconds elsewhere; nothing for a quiet run."""
        return progress(label, total, unit, done, quiet=self.quiet)


# files ---------------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """Dataclasses, paths, tuples and numpy numbers as what JSON can hold. Nan and infinities become None."""
    if hasattr(value, "to_json"):
        return to_json(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bool | int | str) or value is None:
        return value
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    number = float(value)
    return number if number - number == 0 else None


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file atomically."""
    part = path.with_name(path.name + ".part")
    with _disk(path):
        with part.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; is this a run folder?") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error})") from error
    if not isinstance(found, dict):
        raise RunError(f"{path}: expected a JSON object, found {type(found).__name__}")
    return found


def read_metrics(folder: Path, stage: str | None = None) -> list[dict[str, Any]]:
    """Lines of a run's ``metrics.jsonl``, of one stage or all."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    parsed = [json.loads(line) for line in lines if line]
    return [p for p in parsed if stage is None or p["stage"] == stage]


def machine_record() -> dict[str, Any]:
    """Versions and machine, for the record; nothing that names a person."""
    versions = {}
    for package in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "versions": versions,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def dotted(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level: ``{"ppo": {"steps": 3}}`` -> ``{"ppo.steps": 3}``."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn a failing disk into an error that says what is lost (nothing) and what to do."""
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if full:  # safetensors raises an error of its own, with the system's words in it
            raise RunError(
                f"{path}: the disk is full. What was finished is kept: "
                "free some space and start the same command again."
            ) from error
        if isinstance(error, OSError) or type(error).__name__ == "SafetensorError":
            raise RunError(f"{path}: cannot be written ({getattr(error, 'strerror', None) or error})") from error
        raise
