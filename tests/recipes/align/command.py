"""The main job by its command, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

SMOKE = ["align", "--scale", "smoke", "--max-comparisons", "24", "--name", "r"]

NO_NETWORK = """
import socket, sys
class Refused(socket.socket):
    def __init__(self, family=-1, *a, **k):
        if family != socket.AF_UNIX:
            raise AssertionError("a socket was opened")
        super().__init__(family, *a, **k)
socket.socket = Refused
def refuse(*a, **k):
    raise AssertionError("a lookup was made")
socket.create_connection = socket.getaddrinfo = refuse
"""


def command(home: Path, *arguments: str, before: str = "") -> tuple[list[str], dict[str, str]]:
    code = f"{before}\nimport sys\nfrom preflab.cli import main\nsys.exit(main())"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())}
    return [sys.executable, "-c", code, *arguments, "--runs", str(home / "runs")], environment


def run(home: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    line, environment = command(home, *arguments, before=before)
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)
