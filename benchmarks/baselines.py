"""Baselines of docs/baselines.md: two evaluations and their difference item by item, as a file below results/.

python -m benchmarks.baselines evaluate-smollm2 evaluate-align-default --runs runs
python -m scripts.tables
"""

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.common import command
from preflab.recipes.evaluate.compare import compare_runs
from preflab.recipes.evaluate.results import count_failed, read_suite_results
from preflab.reporting.run_files import read_run
from preflab.runner.publish import prune, run_hash
from preflab.runner.published import FORMAT, LARGEST, dump_lines


def published_comparison(a: str, b: str, runs: str) -> dict[str, Any]:
    """Every measure of every suite that both runs have, as `preflab.runner.published` reads it."""
    folders = [Path(runs) / name for name in (a, b)]
    comparison = compare_runs(a, b, runs=runs).to_json()
    failed = [{name: count_failed(result) for name, result in read_suite_results(folder).items()} for folder in folders]
    left_out: list[str] = [f"{name}: {reason}" for name, reason in comparison["left_out"].items()]
    suites = {
        name: {
            "common": suite["common"],
            "failed": [by_suite.get(name) for by_suite in failed],
            "differences": [
                {key: prune(difference[key], name, left_out) for key in ("name", "unit", "a", "b", "gap", "outcome")}
                for difference in suite["differences"]
                if difference["a"] is not None or difference["b"] is not None
            ],
        }
        for name, suite in comparison["suites"].items()
    }
    made_by = read_run(folders[0]).record["made_by"]
    return {
        "format": FORMAT,
        "recipe": "evaluate",
        "run": f"{a.removeprefix('evaluate-')}--{b.removeprefix('evaluate-')}",
        "layout": "current",
        "command": command(),
        "started": made_by.get("started", time.strftime("%Y-%m-%d", time.gmtime())),
        "seconds": None,
        "machine": {key: made_by[key] for key in ("system", "python", "cores") if key in made_by},
        "versions": made_by.get("versions", {}),
        "settings": {"a": a, "b": b},
        "data": {},
        "model": {},
        "hashes": {name: run_hash(folder) for name, folder in zip(("a", "b"), folders, strict=True)},
        "verdicts": [],
        "results": suites,
        "curves": {},
        "left_out": left_out,
    }


def main() -> None:
    """Write the file and print where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--to", type=Path, default=Path("results"))
    options = parser.parse_args()
    fields = published_comparison(options.a, options.b, options.runs)
    content = dump_lines(fields)
    if len(content) > LARGEST:
        raise SystemExit(f"{len(content):,} bytes; a file below results/ has {LARGEST:,} at most")
    path = options.to / "evaluate" / f"{fields['run']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(path)


if __name__ == "__main__":
    main()
