"""Results of ``bai2022_online`` by hand, and a run folder that holds them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from preflab.conversion import to_json
from preflab.evals.metrics.reply_stats import ReplyFacts
from preflab.maths.statistics import Estimate
from preflab.recipes.bai2022_online.claims import verdicts
from preflab.recipes.bai2022_online.config import Config, smoke
from preflab.recipes.bai2022_online.results import (
    CollectResult,
    CompareResult,
    DeployResult,
    EloResult,
    MeasureResult,
    PolicyRoundResult,
    PreferenceRoundResult,
    TruePreferenceGain,
    data_name,
)
from preflab.recipes.common.results import ComparedReplies

FACTS = ReplyFacts(
    n=12,
    mean_words=8.0,
    median_words=8.0,
    empty_share=0.0,
    distinct_1=0.5,
    distinct_2=0.8,
    distinct_3=0.9,
    commonest_share=0.1,
)


def estimate(value: float, half: float, n: int = 40) -> Estimate:
    return Estimate(value, value - half, value + half, n, 20)


def elo(**ratings: Estimate) -> EloResult:
    """The start policy at 0 and others, whose names have ``_`` for ``-``."""
    rated = {"start": Estimate(0.0, 0.0, 0.0, 30)} | {name.replace("_", "-"): e for name, e in ratings.items()}
    return EloResult(ratings=rated, interval="from resampling people", ridge=0.0, note="")


def deploy(number: int, policies: Sequence[str]) -> DeployResult:
    return DeployResult(revision=number, first_event=10 * number, policies=list(policies), tasks_added=6)


def collect(number: int, ratings: EloResult, *, choices: int = 12, before: int = 0, ties: int = 1) -> CollectResult:
    return CollectResult(
        study="online",
        first_event=10 * number,
        last_event=10 * number + 9,
        log_hash="0" * 64,
        digest="1" * 64,
        choices=choices,
        before_deployment=before,
        comparisons=choices,
        too_weak=0,
        ties=ties,
        annotators=5,
        votes=[("start", "round-0", 0.0, "p-1")] * choices,
        elo=ratings,
    )


def preference(number: int) -> PreferenceRoundResult:
    """Right in 60 % of the static pairs and in 10 points more of each round's; as many pairs of a round as 10 k."""
    return PreferenceRoundResult(
        mix={data_name(k): 10 * k or 30 for k in range(number + 1)},
        accuracy={data_name(k): estimate(0.6 + k / 10, 0.1) for k in range(number + 1)},
        accuracy_of_last_model=estimate(0.55, 0.1) if number else None,
        agreement=estimate(0.7, 0.05),
        baselines={"length": estimate(0.5, 0.1)},
        steps=4 + number,
        trained_tokens=1000,
        measured_tokens=100,
    )


def policy(*, stopped: str = "") -> PolicyRoundResult:
    return PolicyRoundResult(
        steps=2,
        stopped=stopped,
        prompts=20,
        refused_prompts=0,
        sampled_tokens=96.0,
        measured_tokens=192.0,
        trained_tokens=96.0,
    )


def measure(number: int, *, commonest: float = 0.1) -> MeasureResult:
    """A KL of 1 + k nats and a gain of k / 2 nats."""
    return MeasureResult(
        kl=estimate(1.0 + number, 0.5),
        gain=estimate(number / 2, 0.25),
        true_gain=TruePreferenceGain(gain=estimate(0.2, 0.1), wins=estimate(0.75, 0.1)),
        facts=replace(FACTS, commonest_share=commonest),
        ended_share=0.5,
        sampled_tokens=144,
    )


def compare(rounds: int, ratings: EloResult) -> CompareResult:
    examples = ComparedReplies(
        prompt=[{"role": "user", "content": "Say <b>hi</b>."}],
        category="helpfulness",
        replies={"start": "<script>alert(1)</script>", "policy_0": "Hm.", f"policy_{rounds}": "Hi."},
        scores={"start": -1.0, "policy_0": 0.0, f"policy_{rounds}": 0.25},
    )
    return CompareResult(
        gain={f"policy_{k}": estimate(k / 2, 0.25) for k in range(rounds + 1)},
        elo=ratings,
        verdicts=verdicts(rounds, estimate(0.7, 0.1), ratings.ratings, measure(rounds).true_gain),
        examples=[examples],
    )


def one_round() -> dict[str, Any]:
    """A finished run of one round and a last one for ratings; the choices of the first passed round-0's double by."""
    first = elo(round_0=estimate(40.0, 60.0))
    second = elo(round_0=estimate(30.0, 50.0), round_1=estimate(120.0, 80.0))
    return {
        "preference0": preference(0),
        "policy0": policy(),
        "measure0": measure(0),
        "deploy1": deploy(1, ["start", "round-0", "round-0, best of 2"]),
        "collect1": collect(1, first, before=3),
        "preference1": preference(1),
        "policy1": policy(stopped="KL over its limit"),
        "measure1": measure(1, commonest=0.9),
        "deploy2": deploy(2, ["start", "round-0", "round-1"]),
        "collect2": collect(2, second, choices=8, ties=2),
        "compare": compare(1, second),
    }


def make_run(folder: Path, results: Mapping[str, Any], config: Config | None = None) -> Path:
    """A run folder by hand with these results and three steps of training of each model."""
    (folder / "results").mkdir(parents=True)
    settings = to_json(config or replace(smoke(), rounds=1))
    (folder / "config.json").write_text(json.dumps({"recipe": "bai2022_online", "config": settings}))
    record = {"command": ["preflab", "run", "online"], "model": {"name": "tiny"}}
    (folder / "record.json").write_text(json.dumps(record))
    for stage, result in results.items():
        (folder / "results" / f"{stage}.json").write_text(json.dumps(to_json(result) | {"seconds": 2.0}))
    stages = [f"{kind}{k}" for kind in ("preference", "policy") for k in (0, 1)]
    steps = [{"stage": s, "step": i, "loss": 0.7, "kl": 0.1 * i, "score": 0.0} for s in stages for i in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    return folder
