"""The command line as its users meet it: in processes of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "transformers", "rich", "matplotlib", "pydantic", "numpy", "yaml", "jaxtyping")


def environment(**more: str) -> dict[str, str]:
    """One thread, no hub, preflab from this tree."""
    ours = ("PREFLAB_DEBUG", "NO_COLOR", "FORCE_COLOR", "TRANSFORMERS_VERBOSITY", "HF_HUB_VERBOSITY")
    kept = {k: v for k, v in os.environ.items() if k not in ours}
    paths = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH", ""))))
    return kept | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | more


def preflab(*arguments: str, cwd: Path, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "preflab", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(**more), input=stdin, capture_output=True, text=True, timeout=120, check=False
    )


def write_comparisons(path: Path, n: int = 40) -> Path:
    words = ["bread", "rain", "stars", "paint", "maps"]
    records = [
        {
            "prompt": f"Tell me about {words[i % 5]} number {i}.",
            "replies": [f"It is a thing called {words[i % 5]}, item {i}.", "No."],
            "ranks": [0, 1],
        }
        for i in range(n)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


ALIGN = ("align", "--scale", "smoke", "--comparisons", "small.jsonl", "--name", "r")
