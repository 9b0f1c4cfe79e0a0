"""Real processes that can be killed at any moment, cheap to start: forked from one that has imported everything.

``Nursery`` holds a process that has imported preflab and done nothing with it. For each command it forks a child, which
runs the command line like any other process and may be ended by ``kill -9``. Starting one takes milliseconds in place
of the seconds that imports take, so that a test can kill a run dozens of times.
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from preflab.run import Run

OFTEN = """
import preflab.run
start = preflab.run.Run.__init__
def often(self, *a, **k):
    start(self, *a, **{**k, "checkpoint_seconds": 0.0})
preflab.run.Run.__init__ = often
"""
"""A checkpoint after every step: a kill must not only be survived by beginning anew."""

_MOTHER = """
import json, os, sys, warnings
warnings.filterwarnings("ignore")
import torch
torch.set_num_threads(1)
import jinja2, matplotlib.figure, peft, sklearn.linear_model, transformers
import matplotlib.backends.backend_svg
from preflab.cli import main
from preflab.models.tiny import tiny_model, tiny_tokenizer
from preflab.recipes import align, rafailov2023_dpo, sft
tiny_model(), tiny_tokenizer()
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # makes torch's pool anew before threads that load a model do so side by side
        out = os.open(asked["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        code = 70
        try:
            code = main(asked["arguments"])
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    print(child, flush=True)
    _, status, used = os.wait4(child, 0)
    print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, flush=True)
"""


class Nursery:
    """Starts one process at a time."""

    def __init__(self, before: str = OFTEN) -> None:
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        self._mother = subprocess.Popen(
            [sys.executable, "-c", before + _MOTHER],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._heard, self.cpu_seconds = b"", 0.0
        assert self._answer(120) == "ready"

    def close(self) -> None:
        """End it."""
        self._mother.kill()
        self._mother.communicate()

    def _answer(self, seconds: float) -> str | None:
        """Its next line; None if none comes in time."""
        assert self._mother.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._heard:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._mother.stdout], [], [], left)[0]:
                return None
            piece = os.read(self._mother.stdout.fileno(), 64)
            assert piece, "the process that starts others has ended"
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def start(self, arguments: list[str], output: Path) -> int:
        """A new process with this command line; its number."""
        assert self._mother.stdin is not None
        self._mother.stdin.write(json.dumps({"arguments": arguments, "output": str(output)}).encode() + b"\n")
        self._mother.stdin.flush()
        answer = self._answer(60)
        assert answer is not None
        return int(answer)

    def wait(self, seconds: float) -> int | None:
        """The exit code of the process that was started; None if it has not ended in time. -9: killed."""
        answer = self._answer(seconds)
        if answer is None:
            return None
        code, used = answer.split()
        self.cpu_seconds = float(used)
        return int(code)

    def run(self, arguments: list[str], output: Path) -> float:
        """Run to the end; the processor time it took, in seconds."""
        self.start(arguments, output)
        assert self.wait(600) == 0, output.read_text()
        return self.cpu_seconds

    def run_with_kills(self, arguments: list[str], output: Path, rng: random.Random, cpu_seconds: float) -> int:
        """Start, ``kill -9`` at a random moment, start again ... until a run gets through; the number of kills.

        Args:
            cpu_seconds  what an unbroken run takes. Processes live for a quarter of it at most, longer each time.
                         Processor time, so that a busy machine kills as often as an idle one.
        """
        for kills in range(100):
            number = self.start(arguments, output)
            code = self._wait_until(number, cpu_seconds * (rng.random() / 4 + 0.02 * kills))
            if code is None:
                os.kill(number, signal.SIGKILL)
                code = self.wait(60)
            if code == -signal.SIGKILL:
                continue
            assert code == 0, output.read_text()
            return kills
        raise AssertionError("the run never got through")

    def _wait_until(self, number: int, cpu_seconds: float) -> int | None:
        """The exit code if the process ends before it has used so much processor time, otherwise None."""
        ticks = os.sysconf("SC_CLK_TCK")
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if (code := self.wait(0.01)) is not None:
                return code
            try:
                fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended this moment
                continue
            if (int(fields[11]) + int(fields[12])) / ticks >= cpu_seconds:
                return None
        raise AssertionError("the process neither ends nor works")


def timeless(value: Any) -> Any:
    """A result without wall times, which no two runs share."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if "seconds" not in k}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def results(folder: Path) -> dict[str, Any]:
    """Every result and every line of metrics of a run, but the wall times."""
    found = {p.stem: timeless(json.loads(p.read_text())) for p in (folder / "results").glob("*.json")}
    found["metrics"] = [timeless(json.loads(line)) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return found


def assert_same_end(folder: Path, other: Path) -> None:
    """Both runs ended with the same results, metrics and weights, bit for bit."""
    assert results(folder) == results(other)
    kept = sorted((other / "checkpoints").glob("*.safetensors"))
    assert kept
    assert [p.name for p in sorted((folder / "checkpoints").glob("*.safetensors"))] == [p.name for p in kept]
    for path in kept:
        ours, theirs = load_file(folder / "checkpoints" / path.name), load_file(path)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours), path.name


def killed_and_whole(
    main: Callable[[Any, Run], None], config: Any, recipe: str, folder: Path, patch: pytest.MonkeyPatch, *, at: int
) -> tuple[Path, Path]:
    """Folders of a run that was stopped at its ``at``-th checkpoint and taken up again, and of the unbroken one."""

    class Stopped(Exception):
        """A kill."""

    def opened(name: str) -> Run:
        return Run(folder / name, config, recipe=recipe, quiet=True, checkpoint_seconds=0.0)

    with opened("whole") as run:
        main(config, run)
    checkpoint, times = Run.checkpoint, [0]

    def killed(self: Run, *given: object) -> bool:
        times[0] += 1
        if times[0] == at:
            raise Stopped
        return checkpoint(self, *given)  # type: ignore[arg-type]

    with patch.context() as own, opened("cut") as run:
        own.setattr(Run, "checkpoint", killed)
        with pytest.raises(Stopped):
            main(config, run)
    with opened("cut") as run:
        main(config, run)
    return folder / "cut", folder / "whole"
