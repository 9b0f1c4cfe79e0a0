"""MT-bench's questions with a reference, a policy that answers them, and measures by name and part."""

import json
from pathlib import Path
from typing import Any

from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import measure_results

ROWS: list[dict[str, Any]] = [
    {"id": f"p{k}", "category": "even" if k % 2 == 0 else "odd", "turns": [f"Question {k}?"], "reference": ["no idea"]}
    for k in range(8)
]


def shelf(tmp_path: Path, rows: list[dict[str, Any]] = ROWS, name: str = "mt_bench_questions.jsonl") -> DataSource:
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return DataSource(folder=tmp_path)


def says(ask: Any) -> str:
    return "a long answer of six words" if int(ask.prompt.messages[0].text[9]) % 2 else "no"


def values(suite: Any, told: Any) -> dict[Any, float | None]:
    return {(m.name, m.value): m.estimate and m.estimate.value for m in measure_results(suite.measures, told)}
