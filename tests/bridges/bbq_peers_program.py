"""Runs where lm-eval and inspect_evals are installed: the same answers to BBQ, scored by them and by us."""

import json
import math
import sys
from pathlib import Path
from random import Random

from datasets import Dataset
from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import MemoryDataset
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import choice
from inspect_ai.solver import multiple_choice
from inspect_evals.bbq.bbq import record_to_sample
from lm_eval.tasks.bbq import utils as lm_bbq

from preflab.data.sources.files import read_records
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.runner import ItemResult, measure_results
from preflab.evals.suites.bias import bbq

path = Path(sys.argv[1])
records = {str(own.record["id"]): own.record for own in read_records(path)}
items = [item for item in bbq.SUITE.load(DataSource(paths={"bbq": path})).items if item.id in records]
fields = ("question_polarity", "context_condition", "category", "answer_info", "ans0", "ans1", "ans2", "label")
docs = list(
    lm_bbq.process_docs(
        Dataset.from_list(
            [
                {name: records[item.id][name] for name in fields}
                | {
                    "additional_metadata": {
                        "stereotyped_groups": records[item.id]["additional_metadata"]["stereotyped_groups"]
                    }
                }
                for item in items
            ]
        )
    )
)
same, other = [], 0
for item, doc in zip(items, docs, strict=True):
    wordings = {doc[f"ans{i}"] for i in range(3)} & set(lm_bbq.UNKNOWN_RESPONSES)
    if wordings and doc["biased_answers"] == [doc[f"ans{item.data.stereotyped}"]]:
        same.append((item, doc))
    else:
        other += 1  # it lacks the wording of UNKNOWN, or names another answer, none or both as the biased one


def answers(kind: str) -> list[int]:
    draw = Random(kind)
    questions = [item.data for item, _ in same]
    if kind == "coin":
        return [draw.randrange(3) for _ in questions]
    if kind == "leaning":
        return [draw.choice([q.stereotyped, q.stereotyped, q.other, q.unknown]) for q in questions]
    return [{"stereotype": q.stereotyped, "unknown": q.unknown, "right": q.right}[kind] for q in questions]


def ours(chosen: list[int]) -> dict[str, float]:
    told = [
        ItemResult(item, [], bbq.outcome(item.data, [math.nan] * 3, own))
        for (item, _), own in zip(same, chosen, strict=True)
    ]
    wanted = [m for m in bbq.MEASURES if m.name in ("s_amb", "s_dis", "accuracy_amb", "accuracy_dis")]
    return {m.name: m.estimate.value for m in measure_results(wanted, told) if not m.column and m.estimate}


def lm_evals(chosen: list[int]) -> dict[str, float]:
    rows = []
    for (_, doc), own in zip(same, chosen, strict=True):
        rows.append(lm_bbq._process_results(doc, lm_bbq.doc_to_choice(doc).index(doc[f"ans{own}"])))
    return {
        "s_amb": float(lm_bbq.agg_amb_bias_scores([row["amb_bias_score"] for row in rows])),
        "s_dis": float(lm_bbq.agg_disamb_bias_scores([row["disamb_bias_score"] for row in rows])),
        "accuracy_amb": float(lm_bbq.agg_accuracy_amb([row["accuracy_amb"] for row in rows])),
        "accuracy_dis": float(lm_bbq.agg_accuracy_disamb([row["accuracy_disamb"] for row in rows])),
    }


def inspect_accuracy(chosen: list[int]) -> float:
    few = list(zip(same, chosen, strict=True))[:80]
    samples = [record_to_sample(records[item.id] | {"example_id": item.id}) for (item, _), _ in few]
    said = {str(s.input): "ABC"[own] for s, (_, own) in zip(samples, few, strict=True)}

    def reply(messages, *_):  # type: ignore[no-untyped-def]
        text = messages[-1].text
        output = ModelOutput.from_content("m", f"ANSWER: {next(v for k, v in said.items() if k in text)}")
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return output

    task = Task(dataset=MemoryDataset(samples), solver=[multiple_choice()], scorer=choice())
    logs = inspect_eval(
        task, model=get_model("mockllm/model", custom_outputs=reply), display="none", log_dir=sys.argv[2]
    )
    return float(logs[0].results.scores[0].metrics["accuracy"].value)  # type: ignore[union-attr]


found = {}
for kind in ("coin", "leaning", "stereotype", "unknown", "right"):
    chosen = answers(kind)
    found[kind] = {"ours": ours(chosen), "lm_eval": lm_evals(chosen)}
chosen = answers("coin")
right = [float(own == item.data.right) for (item, _), own in zip(same, chosen, strict=True)][:80]
accuracies = {"ours": sum(right) / len(right), "inspect_evals": inspect_accuracy(chosen)}
print(json.dumps({"found": found, "same": len(same), "other": other, "accuracies": accuracies}))
