"""Files of a self-correction run: questions with self-corrected answers for fine-tuning, and the paper's records.

export/<checkpoint>/self_corrected.jsonl  the plain question and the answer settled on (dialogues, for ``sft``)
                    comparisons.jsonl     that answer against the plain one, where they differ (for ``dpo``)
                    records.jsonl         everything asked and answered
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflab.data.comparison import Comparison, Provenance
from preflab.data.dialogue import Dialogue
from preflab.data.write import write_comparisons
from preflab.recipes.ganguli2023_self_correction.checkpoints import Checkpoint, key_of, slug
from preflab.recipes.ganguli2023_self_correction.conditions import self_corrected

if TYPE_CHECKING:
    from preflab.recipes.ganguli2023_self_correction.stages import Stages


def export_corrections(stages: "Stages") -> dict[str, Any]:
    """The result of the stage ``export``: files for fine-tuning and for other tools, and how many lines they have."""
    written: dict[str, int] = {}
    for checkpoint in stages.checkpoints:
        folder = stages.run.folder / "export" / slug(checkpoint)
        folder.mkdir(parents=True, exist_ok=True)
        dialogues, comparisons = _corrected(stages, checkpoint)
        own: dict[str, Sequence[object]] = {
            "self_corrected.jsonl": dialogues,
            "records.jsonl": _records(stages, checkpoint),
        }
        for name, rows in own.items():
            _write_lines(folder / name, rows)
            written[f"{slug(checkpoint)}/{name}"] = len(rows)
        if comparisons:
            write_comparisons(comparisons, folder / "comparisons.jsonl")
        written[f"{slug(checkpoint)}/comparisons.jsonl"] = len(comparisons)
    return {"files": written}


def _corrected(stages: "Stages", checkpoint: Checkpoint) -> tuple[list[dict[str, object]], list[Comparison]]:
    """Plain questions with self-corrected answers; where the plain answer differs, both as a comparison."""
    how, key = stages.asking(stages.config.paraphrases[0], sampling=False), stages.config.export
    dialogues: list[dict[str, object]] = []
    comparisons: list[Comparison] = []
    for benchmark in stages.config.benchmarks:
        items = {item.id: item for item in stages.chosen(benchmark)}
        plain = {line["id"]: line.get("outcome") for line in stages.lines(checkpoint, benchmark, "q")}
        for line in stages.lines(checkpoint, benchmark, key_of(key, stages.config.paraphrases[0])):
            if line.get("outcome") is None:
                continue
            item = items[line["id"]]
            after = self_corrected(benchmark, item, line["outcome"], how)
            before = self_corrected(benchmark, item, was, how) if (was := plain.get(item.id)) else after
            for (question, better), (_, worse) in zip(after, before, strict=True):
                prompt = Dialogue.of(question)
                messages = prompt.with_reply(better).to_json()
                dialogues.append({"messages": messages, "category": benchmark, "id": item.id})
                if better != worse:
                    where = Provenance(dataset="self-correction", id=item.id, policies=(key, "q"))
                    comparisons.append(
                        Comparison(
                            prompt=prompt,
                            replies=(better, worse),
                            ranks=(0, 1),
                            category=benchmark,
                            provenance=where,
                        )
                    )
    return dialogues, comparisons


def _records(stages: "Stages", checkpoint: Checkpoint) -> list[dict[str, object]]:
    """The paper's result records: one a condition and item, with reasoning and log-probabilities of the options."""
    found: list[dict[str, object]] = []
    for benchmark in stages.config.benchmarks:
        for condition, paraphrase in stages.conditions(benchmark):
            for line in stages.lines(checkpoint, benchmark, key_of(condition, paraphrase)):
                asked = [pair for part in line["rounds"] for pair in part]
                outcome = line.get("outcome")
                found.append(
                    {
                        "benchmark": benchmark,
                        "item_id": line["id"],
                        "checkpoint": checkpoint.name,
                        "size": checkpoint.size,
                        "steps": checkpoint.steps,
                        "condition": condition,
                        "paraphrase": paraphrase,
                        "cot_text": [
                            pair["answer"].get("text") for pair in line["rounds"][0] if pair["ask"]["kind"] == "speak"
                        ]
                        if condition == "cot"
                        else [],
                        "option_logprobs": [
                            pair["answer"].get("logprobs") for pair in asked if pair["ask"]["kind"] == "choose"
                        ],
                        "failed": line.get("failed"),
                        "p_options": None if outcome is None else outcome["samples"],
                    }
                )
    return found


def _write_lines(path: Path, rows: Sequence[object]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    part.replace(path)
