"""The real server in a process of its own, which can be killed and started again in milliseconds."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[3]
_MOTHER = """
import json, os, signal, sys
import alembic.command, uvicorn, uvicorn.loops.auto, uvicorn.protocols.http.auto, uvicorn.lifespan.on
import preflab.web.collect.command
from preflab.cli import main
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        out = os.open(os.environ["OUTPUT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2)
        try:
            code = main(json.loads(line))
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(70)
    print(child, flush=True)
"""


def environment(**more: str) -> dict[str, str]:
    """preflab from this tree, one thread, nothing from a network."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}


def _port() -> int:
    """A free one below those that the system hands to connections: it must be free when a killed server returns."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


class RealServer:
    """``preflab collect`` on a port of its own, forked from a process that has imported everything."""

    def __init__(self, folder: Path, study: str, *options: str) -> None:
        (folder / "study.yaml").write_text(study)
        self.store, self.output = folder / "store.db", folder / "output.txt"
        self.port = _port()
        self.url = f"http://localhost:{self.port}"
        self._order = ["collect", str(folder / "study.yaml"), "--store", str(self.store), "--port", str(self.port)]
        self._order += ["--reply-threads", "0", *options]
        self._mother = subprocess.Popen(
            [sys.executable, "-c", _MOTHER],
            env=environment(OUTPUT=str(self.output)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.process = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._mother.stdin is not None and self._mother.stdout is not None
        self._mother.stdin.write(json.dumps(self._order) + "\n")
        self._mother.stdin.flush()
        self.process = int(self._mother.stdout.readline())
        until = time.monotonic() + 60
        while True:
            try:
                if httpx2.get(f"{self.url}/healthz").status_code == 200:
                    return
            except httpx2.HTTPError:
                assert time.monotonic() < until, self.output.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """As a power cut would, were it only for this process."""
        os.kill(self.process, signal.SIGKILL)

    def close(self) -> None:
        """End both."""
        for process in (self.process, self._mother.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._mother.wait(10)
        assert self._mother.stdin is not None and self._mother.stdout is not None
        self._mother.stdin.close()
        self._mother.stdout.close()
