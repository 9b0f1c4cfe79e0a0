"""Results of ``sft`` by hand, and a run folder that holds them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from preflab.conversion import to_json
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.maths.statistics import Estimate
from preflab.recipes.common.results import ComparedReplies
from preflab.recipes.sft.claims import verdicts
from preflab.recipes.sft.config import Config
from preflab.recipes.sft.results import DataResult, MeasureResult, SFTResult


def data() -> DataResult:
    """Two thousand replies to learn, five hundred to measure on."""
    counts = {"train": 2000, "held_out": 500}
    return DataResult(
        rows=counts,
        replies=counts,
        reply_tokens={"train": 60_000, "held_out": 15_000},
        tokens={"train": 90_000, "held_out": 22_500},
        tokens_reply_by_reply={"train": 120_000, "held_out": 30_000},
        shortened={"train": 3, "held_out": 0},
        refused={"train": 1, "held_out": 0},
        prompts=400,
    )


def sft() -> SFTResult:
    """From 3.5 to 3.25 nats a token in two passes."""
    gain = Estimate(0.25, 0.125, 0.375, 900, 40)
    return SFTResult(
        before=Estimate(3.5, 3.25, 3.75, 900, 40),
        after=Estimate(3.25, 3.0, 3.5, 900, 40),
        gain=gain,
        verdicts=verdicts(gain),
        epochs=[3.3, 3.25],
        steps=4,
        trained_tokens=180_000,
        measured_tokens=90_000,
    )


def measure() -> MeasureResult:
    """One prompt, a reply of three words before and one of five after."""
    before, after = "one two three", "a reply of five words"
    return MeasureResult(
        facts={"before": reply_facts([before]), "after": reply_facts([after])},
        examples=[
            ComparedReplies(
                prompt=[{"role": "user", "content": "Say <b>hi</b>."}],
                category="",
                replies={"before": before, "after": after},
                scores={},
            )
        ],
        sampled_tokens=12,
    )


def make_run(folder: Path, results: Mapping[str, Any], config: Config | None = None) -> Path:
    """A run folder by hand with these results and four steps of training, two a pass."""
    (folder / "results").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"recipe": "sft", "config": to_json(config or Config())}))
    source = {"source": "starter", "format": "f", "records": 2504, "refused": {}}
    record = {"command": ["preflab", "run", "sft"], "data": source}
    (folder / "record.json").write_text(json.dumps(record))
    for stage, result in results.items():
        (folder / "results" / f"{stage}.json").write_text(json.dumps(to_json(result) | {"seconds": 30.0}))
    steps: list[dict[str, Any]] = [{"stage": "sft", "step": i, "loss": 3.5 - i / 20} for i in (1, 2, 3, 4)]
    for step, loss in zip(steps[1::2], sft().epochs, strict=True):
        step["held_out_loss"] = loss
    (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    return folder
