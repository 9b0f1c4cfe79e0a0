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
import json
import os
import platform
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from filelock import FileLock, Timeout

from preflab import distributed
from preflab.atomic_files import complete_lines, disk_errors, json_text, read_json, write_json
from preflab.checkpoint import load_tensors, remove, save_tensors
from preflab.conversion import from_mapping, to_json
from preflab.errors import ConfigError, RunError
from preflab.progress import Advance, progress

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
VERSIONED = ("preflab", "torch", "transformers", "peft", "safetensors", "numpy")


class Run:
    """One run folder, open for work. Use as a context manager; one process at a time.

    ``may_change`` names settings, dotted, that may differ when a run is taken up again (how far to go, say).

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
        may_change: Sequence[str] = (),
    ) -> None:
        self.folder, self.recipe, self.seed = Path(folder), recipe, seed
        self.quiet = quiet or not distributed.is_rank_zero()
        self.checkpoint_seconds = checkpoint_seconds
        self.resumed = False
        self._state: dict[str, Any] = {}
        self._lock: Any = None
        self._metrics: Any = None
        with distributed.rank_zero_first() as is_writer:
            if is_writer:
                self._open(config, may_change)
        self.resumed, self._state = distributed.broadcast((self.resumed, self._state))
        self._stage_started = time.monotonic()
        self._last_checkpoint = time.monotonic()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        if self._metrics is not None:
            self._metrics.close()
        if self._lock is not None:
            self._lock.release()

    def _open(self, config: Any, may_change: Sequence[str]) -> None:
        with disk_errors(self.folder):
            for part in ("results", "checkpoints"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / ".lock", timeout=0, thread_local=False)
        try:
            self._lock_folder()
            self._take_config(config, may_change)
            self._state = self._read_state()
            self._open_metrics()
        except BaseException:
            self._lock.release()
            raise

    def _lock_folder(self) -> None:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise RunError(f"{self.folder} is in use by another process") from error

    # what the run is -------------------------------------------------------------------------------------

    def _take_config(self, config: Any, may_change: Sequence[str]) -> None:
        """Refuse other settings than the folder was made with, but for those that may change."""
        resolved = json.loads(json.dumps(to_json(config)))
        before: dict[str, Any] | None = None
        path = self.folder / "config.json"
        if path.exists():
            saved = read_json(path)
            before = dict(saved.get("config", {}))
            differences = _different_settings(before, resolved, may_change)
            if saved.get("recipe") != self.recipe or differences:
                raise RunError(
                    f"{self.folder} holds a run of {saved.get('recipe')} with other settings "
                    f"({'; '.join(differences[:4]) or 'recipe'}). "
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

    @property
    def started(self) -> datetime:
        """When the run began, in UTC; the same when it goes on another day."""
        return datetime.strptime(self.recorded("made_by")["started"], "%Y-%m-%dT%H:%M:%SZ")

    def seed_of(self, purpose: str) -> int:
        """A seed for one purpose, independent of all others and of the order of asking."""
        return (self.seed * 2_654_435_761 + zlib.crc32(purpose.encode())) % 2**31

    # metrics ---------------------------------------------------------------------------------------------

    def _open_metrics(self) -> None:
        """Cut ``metrics.jsonl`` back to what the state vouches for."""
        path = self.folder / "metrics.jsonl"
        with disk_errors(path):
            path.touch()
            with path.open("r+b") as file:
                file.truncate(min(path.stat().st_size, int(self._state["metrics_bytes"])))
            self._metrics = path.open("ab")

    def log(self, stage: str, **numbers: Any) -> None:
        """One line of ``metrics.jsonl``."""
        if self._metrics is None:
            return
        with disk_errors(self.folder / "metrics.jsonl"):
            self._metrics.write(json_text({"stage": stage, **to_json(numbers)}).encode() + b"\n")
            self._metrics.flush()

    def metrics(self, stage: str | None = None) -> list[dict[str, Any]]:
        """The lines logged so far, of one stage or all."""
        return read_metrics(self.folder, stage)

    # stages ----------------------------------------------------------------------------------------------

    @overload
    def stage(self, name: str, work: Callable[[], T], kind: type[T]) -> T: ...
    @overload
    def stage(self, name: str, work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]: ...
    def stage(self, name: str, work: Callable[[], Any], kind: type[Any] | None = None) -> Any:
        """The result of a stage: read back if it has finished before, otherwise worked out and kept.

        The result is what its file says, whether the stage ran now or in an earlier process. Wall time, resumed parts
        included, is added to the file as ``seconds``.

        Args:
            name  of the stage and of its file.
            work  what the stage does; returns a ``kind``, or a mapping that JSON can hold.
            kind  frozen dataclass of the result; without it the result is a mapping.

        Raises:
            RunError: the file of a finished stage is damaged, or was written by another version of preflab.
        """
        if name in self._state["done"]:
            return self.result(name) if kind is None else self.result(name, kind)
        self._stage_started = self._last_checkpoint = time.monotonic()
        plain = to_json(work())
        with distributed.rank_zero_first() as is_writer:
            self._state["done"].append(name)
            if is_writer:
                plain["seconds"] = round(self._seconds(name), 3)
                write_json(self._result_file(name), plain)
                self._commit(name, checkpoint=None)
        plain = distributed.broadcast(dict(read_json(self._result_file(name))) if is_writer else {})
        return plain if kind is None else self._typed(name, plain, kind)

    @overload
    def result(self, name: str, kind: type[T]) -> T: ...
    @overload
    def result(self, name: str) -> dict[str, Any]: ...
    def result(self, name: str, kind: type[Any] | None = None) -> Any:
        """The result of a finished stage, as a ``kind`` or as a mapping.

        Raises:
            RunError: there is none, or it cannot be read as a ``kind``.
        """
        plain = dict(read_json(self._result_file(name)))
        return plain if kind is None else self._typed(name, plain, kind)

    def _result_file(self, name: str) -> Path:
        return self.folder / "results" / f"{name}.json"

    def _typed(self, name: str, plain: dict[str, Any], kind: type[T]) -> T:
        return typed_result(self._result_file(name), plain, kind)

    def save_partial(self, name: str, key: str, value: Any) -> None:
        """Keep a piece of a stage's work (a chunk of samples), so that a kill does not cost it."""
        if not distributed.is_rank_zero():
            return
        path = self.folder / "results" / f"{name}.jsonl"
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(json_text({"key": key, "value": value}) + "\n")

    def partials(self, name: str) -> dict[str, Any]:
        """Pieces saved so far, by key; a last line that a kill cut off is removed."""
        path = self.folder / "results" / f"{name}.jsonl"
        with distributed.rank_zero_first() as is_writer, disk_errors(path):
            pieces = [json.loads(line) for line in complete_lines(path)] if is_writer else []
        return distributed.broadcast({piece["key"]: piece["value"] for piece in pieces})

    def invalidate(self, name: str) -> None:
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
        with disk_errors(path):
            path = save_tensors(tensors(), path)
        with distributed.rank_zero_first() as is_writer:
            self._state["number"], self._state["checkpoint"] = number, path.name
            if is_writer:
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
        full_tensors = {k: distributed.full_tensor(v).contiguous() for k, v in tensors.items()}
        with distributed.rank_zero_first() as is_writer, disk_errors(path):
            if is_writer:
                save_file(full_tensors, path.with_suffix(".part"))
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

    def progress(self, label: str, total: int, unit: str, finished: int = 0) -> AbstractContextManager[Advance]:
        """A bar with rate and time left on a terminal, a line every ten seconds elsewhere; nothing for a quiet run."""
        return progress(label, total, unit, finished, quiet=self.quiet)


# files ---------------------------------------------------------------------------------------------------


def typed_result(path: Path, plain: Mapping[str, Any], kind: type[T]) -> T:
    """What the file of a stage's result says, as the stage's dataclass; its ``seconds`` are the run's, not the stage's.

    Raises:
        RunError: the file was written by another version of preflab.
    """
    try:
        return from_mapping(kind, {key: value for key, value in plain.items() if key != "seconds"}, str(path))
    except ConfigError as error:
        raise RunError(
            f"{error}. Was it written by another version of preflab? --fresh begins the run anew."
        ) from error


def read_result(folder: Path, stage: str, kind: type[T]) -> T | None:
    """The result of a stage of a run folder; None if the stage has not finished.

    Raises:
        RunError: the file is damaged, or was written by another version of preflab.
    """
    path = folder / "results" / f"{stage}.json"
    return typed_result(path, read_json(path), kind) if path.exists() else None


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


def _different_settings(before: Mapping[str, Any], now: Mapping[str, Any], may_change: Sequence[str]) -> list[str]:
    """Settings that differ and may not, each with both values."""
    old, new = flatten_settings(before), flatten_settings(now)

    def is_fixed(name: str) -> bool:
        return not any(name == free or name.startswith(f"{free}.") for free in may_change)

    names = [name for name in sorted(old.keys() | new.keys()) if is_fixed(name) and old.get(name) != new.get(name)]
    return [f"{name} was {old.get(name)!r:.60}, now {new.get(name)!r:.60}" for name in names]


def flatten_settings(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level: ``{"ppo": {"steps": 3}}`` -> ``{"ppo.steps": 3}``."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten_settings(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
