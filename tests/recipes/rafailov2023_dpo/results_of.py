"""Results of ``rafailov2023_dpo`` by hand, and a run folder that holds them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from preflab.conversion import to_json
from preflab.evals.metrics.reply_stats import ReplyFacts
from preflab.maths.statistics import Bin, Estimate
from preflab.recipes.common.results import ComparedReplies
from preflab.recipes.rafailov2023_dpo.claims import implicit_reward_verdicts, policy_verdicts
from preflab.recipes.rafailov2023_dpo.config import Config
from preflab.recipes.rafailov2023_dpo.results import DPOResult, MeasureResult

FACTS = ReplyFacts(
    n=6,
    mean_words=20.0,
    median_words=19.0,
    empty_share=0.0,
    distinct_1=0.5,
    distinct_2=0.8,
    distinct_3=0.9,
    commonest_share=0.1,
)


def estimate(value: float, half: float, n: int = 60, clusters: int | None = 40) -> Estimate:
    return Estimate(value, value - half, value + half, n, clusters)


def dpo() -> DPOResult:
    """Right in 70 %; ahead of length, not shown to be ahead of words."""
    result = DPOResult(
        accuracy=estimate(0.7, 0.1),
        by_category={"helpfulness": estimate(0.6, 0.2, 20)},
        calibration=[Bin(p, p, p, p, 10) for p in (0.2, 0.5, 0.8)],
        calibration_error=0.05,
        loss=0.65,
        baselines={"length": estimate(0.55, 0.1), "bag of words": estimate(0.65, 0.1)},
        lead={"length": estimate(0.15, 0.05), "bag of words": estimate(0.05, 0.1)},
        baseline_notes={"length": "the longer reply wins", "bag of words": "9 words"},
        verdicts=[],
        steps=3,
        rows=1234,
        trained_tokens=900,
        measured_tokens=100,
        without_pairs=0,
    )
    return replace(result, verdicts=implicit_reward_verdicts(result, "dpo"))


def measure(*, mean_words: float = 20.0, commonest: float = 0.1) -> MeasureResult:
    """A gain of half a nat and 65 % of wins for 3 nats of KL."""
    gain, win_rate, kl = estimate(0.5, 0.2), estimate(0.65, 0.1), estimate(3.0, 0.5)
    return MeasureResult(
        kl=kl,
        gain=gain,
        win_rate=win_rate,
        win_rate_by_category={"helpfulness": estimate(0.6, 0.2, 20)},
        facts={"before": FACTS, "after": replace(FACTS, mean_words=mean_words, commonest_share=commonest)},
        ended_share={"before": 0.5, "after": 0.75},
        examples=[
            ComparedReplies(
                prompt=[{"role": "user", "content": "Say <b>hi</b>."}],
                category="helpfulness",
                replies={"before": "Hm.", "after": "<script>alert(1)</script>"},
                scores={"before": -1.0, "after": 0.25},
            )
        ],
        verdicts=policy_verdicts(gain, win_rate, kl, "dpo"),
        sampled_tokens=500,
        measured_tokens=2000,
    )


def without_preference_model(result: MeasureResult) -> MeasureResult:
    """As a run leaves it that fits no held-out preference model."""
    return replace(result, gain=None, win_rate=None, win_rate_by_category={}, verdicts=[])


def make_run(folder: Path, results: Mapping[str, Any], config: Config) -> Path:
    """A run folder by hand with these results and three steps of training."""
    (folder / "results").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"recipe": "rafailov2023_dpo", "config": to_json(config)}))
    (folder / "record.json").write_text(json.dumps({"command": ["preflab", "run", "dpo"]}))
    for stage, result in results.items():
        (folder / "results" / f"{stage}.json").write_text(json.dumps(to_json(result) | {"seconds": 2.0}))
    keys = ("accuracy", "chosen_reward", "rejected_reward", "chosen_logp", "rejected_logp")
    steps = [{"stage": "dpo", "step": i, "loss": 0.7 - i / 100, **dict.fromkeys(keys, i / 10)} for i in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    return folder
