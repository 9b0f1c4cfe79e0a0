"""Baselines of docs/evals.md as a table: what two evaluations found, and their difference item by item.

python -m benchmarks.baselines evaluate-smollm2 evaluate-align-default --runs runs
"""

import argparse
from pathlib import Path

from preflab.recipes.evaluate.compare import compare_runs
from preflab.recipes.evaluate.results import count_failed, read_suite_results
from preflab.reporting.format import difference, in_unit, number


def table(a: str, b: str, runs: str) -> str:
    """A line for every measure of every suite that both runs have."""
    found = compare_runs(a, b, runs=runs)
    failed = [
        {name: count_failed(result) for name, result in read_suite_results(Path(runs) / run).items()} for run in (a, b)
    ]
    lines = [f"| suite | measure | {a} | {b} | difference | items (not scored) |", "|---|---|---|---|---|---|"]
    for name, own in found.suites.items():
        for k, d in enumerate(own.differences):
            if d.a is None and d.b is None:
                continue
            first = f"`{name.replace('.', ':')}`" if k == 0 else ""
            left_out = "/".join(number(one.get(name)) for one in failed)
            n = f"{number(d.gap.n if d.gap else own.common)} ({left_out})"
            mark = {"better": " **+**", "worse": " **-**", "differs": " *"}.get(d.outcome, "")
            cells = (in_unit(d.a, d.unit), in_unit(d.b, d.unit), difference(d.gap, d.unit) + mark)
            lines.append(f"| {first} | {d.name} | {' | '.join(cells)} | {n} |")
    return "\n".join([*lines, *found.remarks()])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--runs", default="runs")
    args = parser.parse_args()
    print(table(args.a, args.b, args.runs))


if __name__ == "__main__":
    main()
