"""The whole loop on a real server: 'preflab collect', scripted annotators over HTTP, and 'preflab run online'.

python -m benchmarks.online_loop --scale toy

One JSON line: what was judged, how the policies are rated, and how much of the annotators' known preference was
learned. Fails when a page fails, a judgement is lost, or the store does not verify.
"""

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.annotators import Annotator, Owner, at_work
from preflab.data.store import judgements
from preflab.data.store.open import open_store
from preflab.errors import PreflabError
from preflab.runner.catalogue import recipe_named
from preflab.runner.launch import resolve

STUDY = "online"
NAME = "loop"


class Server:
    """``preflab collect`` in a process of its own, which can be killed and started again; a context manager."""

    def __init__(self, store: Path, log: Path) -> None:
        self.store, self.log, self.address, self.secret = store, log, "", ""

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGTERM)

    def start(self) -> None:
        """On the port it had before, if any."""
        port = self.address.rpartition(":")[2] or "0"
        command = [sys.executable, "-u", "-m", "preflab", "collect", "--store", str(self.store), "--port", port]
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        found = re.search(r"http://\S+", self.process.stdout.readline())
        assert found is not None, self.log.read_text()
        self.address = found.group().rstrip("/")
        if not self.secret:
            self.secret = self.process.stdout.readline().rpartition(" ")[2].strip()

    def kill(self) -> None:
        """``kill -9``."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()


def run(
    scale: str, runs: Path, settings: Sequence[str] = (), *, people: int = 5, kills: int = 0, seed: int = 0
) -> dict[str, Any]:
    """The loop, from an empty store to the report.

    Args:
        kills  how often the server or the run, by lot, is ended by ``kill -9`` on the way and started again.
    """
    runs.mkdir(parents=True, exist_ok=True)
    store, rng, began = runs / "store.db", random.Random(seed), time.monotonic()
    own = ["annotators=people", f"store={store}", *settings]
    config = resolve(recipe_named("online"), scale=scale, assignments=own)
    command = [sys.executable, "-m", "preflab", "run", "online", "--scale", scale, "--runs", str(runs), "--name", NAME]
    command += [word for one in own for word in ("--set", one)]
    with Server(store, runs / "server.log") as server, (runs / "run.log").open("ab") as log:
        owner, loop = Owner(server.address, server.secret), subprocess.Popen(command, stdout=log, stderr=log)
        known, turns = config.true_preference, config.protocol.most_turns
        every = [Annotator(server.address, STUDY, known, f"robot {n}", turns) for n in range(people)]
        try:
            _until_there(owner, loop)
            threads = at_work(every, owner.invitation(STUDY, uses=people))
            for _ in range(kills):
                time.sleep(2 + 6 * rng.random())
                if loop.poll() is not None:
                    break
                if rng.random() < 0.5:
                    server.kill()
                    server.start()
                else:
                    loop.kill()
                    loop.wait()
                    loop = subprocess.Popen(command, stdout=log, stderr=log)
            code = loop.wait()
            for one in every:
                one.stopped.set()
            for thread in threads:
                thread.join(60)
        finally:
            loop.kill()
            loop.wait()
            owner.browser.close()
    assert code == 0, (runs / "run.log").read_text()
    return {
        **facts(runs / NAME, store),
        "seconds": round(time.monotonic() - began, 1),
        "requests": sum(one.sent for one in every),
        "acknowledged": sum(one.choices for one in every),
        "faults": [fault for one in every for fault in one.faults],
    }


def _until_there(owner: Owner, loop: "subprocess.Popen[bytes]") -> None:
    """Until the run has deployed its first policies."""
    while owner.browser.get(f"/s/{STUDY}/manage").status != 200:
        assert loop.poll() is None, "the run ended before it deployed anything"
        time.sleep(0.3)


def facts(folder: Path, path: Path) -> dict[str, Any]:
    """What came of it."""
    results = {file.stem: json.loads(file.read_text("utf-8")) for file in (folder / "results").glob("*.json")}
    store = open_store(path, create=False)
    try:
        checked, counts = judgements.verify(store), judgements.counts(store, STUDY)
        with store.reading() as connection:
            parts = [one.part for one in judgements.judgements_of(connection, STUDY, statuses=("counted",))]
    finally:
        store.close()
    rounds = sorted(int(name.removeprefix("preference")) for name in results if name.startswith("preference"))
    waves = sorted(int(name.removeprefix("collect")) for name in results if name.startswith("collect"))
    return {
        "sound": checked.ok,
        "events": checked.events,
        "judgements": counts,
        "votes": sum(part >= 0 for part in parts),
        "ended": sum(part < 0 for part in parts),
        "choices": {k: results[f"collect{k}"]["choices"] for k in waves},
        "annotators": max(results[f"collect{k}"]["annotators"] for k in waves),
        "elo": {name: _short(e) for name, e in results[f"collect{waves[-1]}"]["elo"]["ratings"].items()},
        "accuracy": {k: {s: _short(e) for s, e in results[f"preference{k}"]["accuracy"].items()} for k in rounds},
        "agrees_with_known": {k: _short(results[f"preference{k}"]["known"]) for k in rounds},
        "liked_better_than_start": {k: _short(results[f"measure{k}"]["known"]["wins"]) for k in rounds},
        "kl": {k: _short(results[f"measure{k}"]["kl"]) for k in rounds},
        "verdicts": {v["claim"]: v["outcome"] for v in results["compare"]["verdicts"]},
    }


def _short(estimate: dict[str, Any] | None) -> list[float | None] | None:
    """Value, low, high."""
    names = ("value", "low", "high")
    return estimate and [None if estimate[k] is None else round(estimate[k], 3) for k in names]


def main() -> int:
    """Run it and say what came of it."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", default="smoke", help="of the recipe 'online'")
    parser.add_argument("--runs", type=Path, default=Path("runs/online-loop"), help="where run and store go")
    parser.add_argument("--people", type=int, default=5, help="annotators")
    parser.add_argument("--kills", type=int, default=0, help="how often server or run is killed on the way")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the recipe")
    options = parser.parse_args()
    try:
        found = run(options.scale, options.runs, options.set, people=options.people, kills=options.kills)
    except PreflabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps({"question": "online_loop", "scale": options.scale, **found}))
    return 0 if found["sound"] and not found["faults"] else 1


if __name__ == "__main__":
    sys.exit(main())
