"""How long ``import preflab``, ``preflab --help`` and ``preflab align --help`` take; one process each.

python -m benchmarks.start_up
"""

import subprocess
import sys
from collections.abc import Callable

from benchmarks.common import arguments, machine, prepare, race, report, say

GOALS = {"import preflab": 0.3, "preflab --help": 0.5, "preflab align --help": 0.5}
COMMANDS = {
    "python alone": [sys.executable, "-c", "pass"],
    "import preflab": [sys.executable, "-c", "import preflab"],
    "preflab --help": [sys.executable, "-m", "preflab", "--help"],
    "preflab align --help": [sys.executable, "-m", "preflab", "align", "--help"],
}


def contestant(command: list[str]) -> Callable[[], Callable[[], None]]:
    """One process from start to end."""

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return lambda: run


def main() -> None:
    """Time them in turns."""
    assert __doc__
    options = arguments(__doc__.splitlines()[0], repeats=9).parse_args()
    prepare(options)
    timings = race({name: contestant(command) for name, command in COMMANDS.items()}, repeats=options.repeats)
    for name, timing in timings.items():
        goal = GOALS.get(name)
        held = None if goal is None else min(timing.wall) < goal
        report("start_up", {name: timing}, ours=name, goal_seconds=goal, goal_held=held)
    say(machine=machine())


if __name__ == "__main__":
    main()
