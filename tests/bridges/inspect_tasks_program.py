"""Runs where Inspect is installed: our suites by the entry point, by our models and by one of Inspect's own."""

import asyncio
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
info = folder / "site" / "preflab-0.dist-info"  # as if it were installed, so that the entry point is found
info.mkdir(parents=True)
(info / "METADATA").write_text("Metadata-Version: 2.1\nName: preflab\nVersion: 0\n")
(info / "entry_points.txt").write_text("[inspect_ai]\npreflab = preflab.bridges.inspect_registry\n")
(info / "direct_url.json").write_text(json.dumps({"url": "file:///preflab", "dir_info": {"editable": True}}))
sys.path.append(str(folder / "site"))

from inspect_ai import eval as inspect_eval  # noqa: E402
from inspect_ai.model import GenerateConfig, ModelOutput, ModelUsage, get_model  # noqa: E402

from preflab.evals.core.data_source import DataSource  # noqa: E402
from preflab.evals.core.runner import measure_results, run_items, select_items  # noqa: E402
from preflab.evals.suites import SUITES  # noqa: E402
from preflab.recipes.common.open_models import open_policy  # noqa: E402

name = next(n for n in SUITES if n.startswith("starter"))
settings = {"log_dir": str(folder / "logs"), "display": "none", "score_display": False}
(log,) = inspect_eval(f"preflab/{name}", model="preflab/tiny", task_args={"limit": 6}, **settings)
suite = SUITES[name]
told = run_items(suite.variants[0], select_items(suite.load(DataSource()).items, 6, 0), {"policy": open_policy("tiny")})
expected = {m.name: m.estimate.value for m in measure_results(suite.measures, told) if not m.column and m.estimate}
found = {
    "status": log.status,
    "error": str(log.error or ""),
    "task": log.eval.task,
    "metrics": {k: m.value for s in log.results.scores for k, m in s.metrics.items()} if log.results else {},
    "expected": expected,
    "ids": sorted(str(s.id) for s in log.samples or []),
    "expected_ids": sorted(own.item.id for own in told),
}
shelf = folder / "mmlu_test.jsonl"
rows = [
    {"id": f"q{n}", "subject": "law", "question": f"What is {n}?", "choices": list("wxyz"), "answer": n}
    for n in range(4)
]
shelf.write_text("".join(json.dumps(row) + "\n" for row in rows))
said = ["The answer is A.", "The answer is C.", "I cannot say", "The answer is D."]


def reply(messages, *_):  # type: ignore[no-untyped-def]
    text = said[next(n for n in range(4) if f"What is {n}?" in messages[-1].text)]
    output = ModelOutput.from_content("m", text)
    output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it counts with a file of the net
    return output


mock = get_model("mockllm/model", custom_outputs=reply)
(other,) = inspect_eval("preflab/mmlu", model=mock, task_args={"data": str(folder)}, **settings)
found["other"] = {
    "status": other.status,
    "error": str(other.error or ""),
    "variant": (other.eval.metadata or {}).get("variant"),
    "metrics": {k: m.value for s in other.results.scores for k, m in s.metrics.items()} if other.results else {},
    "unscored": [
        str(s.id)
        for s in other.samples or []
        if s.scores and s.scores["outcome"].as_float() != s.scores["outcome"].as_float()
    ],
}
tiny = get_model("preflab/tiny")
outputs = [asyncio.run(tiny.generate("Say something", config=GenerateConfig(max_tokens=5))) for _ in range(2)]
found["kinds"] = sorted(tiny.api.responder.kinds)
found["greedy"] = outputs[0].completion == outputs[1].completion
found["stopped"] = outputs[0].stop_reason
print(json.dumps(found))
