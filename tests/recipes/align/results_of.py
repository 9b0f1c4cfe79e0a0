"""Results of ``align`` by hand, and a run folder that holds them."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from preflab.conversion import to_json
from preflab.evals.metrics.reply_stats import ReplyFacts
from preflab.maths.statistics import Bin, Estimate
from preflab.recipes.align.config import Config, Until
from preflab.recipes.align.report import LEFT_OUT
from preflab.recipes.align.results import (
    BestOfNResult,
    ByJudge,
    ByPolicyAndJudge,
    CurvePoint,
    FactsByPolicy,
    FailedItems,
    KLToBase,
    MeanScores,
    MeasureChange,
    MeasureResult,
    PolicyReplies,
    PolicyScores,
    PolicyTrainingResult,
    RootKLFit,
    ScoredReplies,
    SuiteChange,
    SuitesResult,
    WinRateGaps,
)
from preflab.recipes.common.comparison_parts import DataResult
from preflab.recipes.common.results import ExportResult, PreferenceResult
from preflab.reporting.verdicts import claim_above

ATTACK = '<script>alert("x")</script><img src="http://evil.example/a.png" onerror=alert(1)>'
STAGES = ("data", "preference", "preference_judge", "best_of_n", "ppo", "measure", "suites", "export")
FACTS = ReplyFacts(
    n=12,
    mean_words=20.0,
    median_words=19.0,
    empty_share=0.0,
    distinct_1=0.5,
    distinct_2=0.8,
    distinct_3=0.9,
    commonest_share=0.01,
)


def estimate(value: float, half: float, n: int = 100, clusters: int | None = 40) -> Estimate:
    return Estimate(value, value - half, value + half, n, clusters)


def data(n: int = 12) -> DataResult:
    """A thousand of everything in each part, ``n`` evaluation prompts."""
    counts = dict.fromkeys(("train", "judge", "held_out"), 1000)
    return DataResult(
        comparisons=counts,
        pairs=counts,
        tokens=counts,
        tokens_pair_by_pair=counts,
        categories={part: {"helpfulness": count} for part, count in counts.items()},
        shortened=counts,
        refused=counts,
        evaluation_prompts=n,
        stop_token="<|end|>",
    )


def preference(accuracy: float = 0.7) -> PreferenceResult:
    """A preference model that is ahead of length and not shown to be ahead of words."""
    return PreferenceResult(
        accuracy=estimate(accuracy, 0.05),
        by_category={"helpfulness": estimate(0.7, 0.1, 50), "$x^2$ <b>": estimate(0.6, 0.2, 50)},
        calibration=[Bin(p, p, p, p, 10) for p in (0.2, 0.5, 0.8)],
        calibration_error=0.05,
        loss=0.6,
        baselines={"length": estimate(0.55, 0.05), "bag of words": estimate(0.6, 0.05)},
        lead={"length": estimate(0.15, 0.06), "bag of words": estimate(0.02, 0.06)},
        baseline_notes={"length": "the longer reply wins", "bag of words": "9 words"},
        steps=8,
        trained_tokens=900,
        measured_tokens=100,
        without_pairs=0,
    )


def best_of_n() -> BestOfNResult:
    """Best of 16; no replies are kept."""
    replies = ScoredReplies(texts=[], training_pm=[], held_out_pm=[])
    return BestOfNResult(
        curve=[
            CurvePoint(
                n=n,
                kl=math.log(n) - (n - 1) / n,
                score=estimate(0.4 * k, 0.2),
                held_out_score=estimate(0.2 * k, 0.3),
            )
            for k, n in enumerate((1, 2, 4, 8, 16))
        ],
        centre=MeanScores(training_pm=-1.0, held_out_pm=0.0),
        sampled_tokens=300,
        measured_tokens=800,
        ended_share=0.5,
        base=replies,
        best=replies,
    )


def policy_training(stopped: str = "", method: str = "PPO") -> PolicyTrainingResult:
    return PolicyTrainingResult(
        steps=24,
        stopped=stopped,
        method=method,
        prompts=48,
        refused_prompts=0,
        sampled_tokens=192.0,
        measured_tokens=400.0,
        trained_tokens=200.0,
        sampling_seconds=30.0,
    )


def policy_replies(i: int, n: int, **changes: Any) -> PolicyReplies:
    """To prompt ``i`` of ``n``; its gain rises with ``i`` and is 0 in the middle."""
    replies = PolicyReplies(
        prompt=[{"role": "user", "content": f"Question {i}?\r\nPlease."}],
        category="helpfulness",
        base=ATTACK,
        best_of_n="A plain reply\x00 with \u202e odd \ud800 characters.",
        trained=f"Reply {i}. " + "It goes on for a while, as replies do. " * 4,
        scores=PolicyScores(base=0.0, best_of_n=0.1, trained=(i - n / 2) / 10),
    )
    return replace(replies, **changes)


def measure(n: int = 12, *, held_out_gain: float = 0.4, commonest: float = 0.01) -> MeasureResult:
    """Both policies gain 0.5 by the first model and ``held_out_gain`` by the second, on ``n`` prompts."""
    win = ByJudge(training_pm=estimate(0.7, 0.1), held_out_pm=estimate(0.5 + held_out_gain / 4, 0.08, n))
    gain = ByJudge(training_pm=estimate(0.5, 0.1), held_out_pm=estimate(held_out_gain, 0.1))
    gap = estimate(0.2 - held_out_gain / 4, 0.05)
    return MeasureResult(
        sampled_tokens=500,
        measured_tokens=2000,
        ended_share=0.5,
        n=16,
        gain=ByPolicyAndJudge(best_of_n=gain, trained=gain),
        win_rate=ByPolicyAndJudge(best_of_n=win, trained=win),
        win_rate_gap=WinRateGaps(best_of_n=gap, trained=gap),
        win_rate_by_category={"helpfulness": win.held_out_pm},
        kl=KLToBase(best_of_n=1.8, trained=estimate(4.0, 0.5)),
        facts=FactsByPolicy(base=FACTS, best_of_n=FACTS, trained=replace(FACTS, commonest_share=commonest)),
        root_kl_fit=RootKLFit(slope=1.0, intercept=-1.0, r_squared=0.93, r_squared_in_kl=0.81, n=24),
        examples=[policy_replies(i, n) for i in range(n)],
        verdicts=[claim_above("PPO wins", win.held_out_pm, 0.5, unit="share", source="Bai et al. 2022")],
    )


def suites() -> SuitesResult:
    """One starter suite, before and after."""
    accuracy = MeasureChange(
        name="accuracy",
        unit="share",
        better="higher",
        before=Estimate(0.5, 0.4, 0.6, 48, 12),
        after=Estimate(0.55, 0.4, 0.6, 48, 12),
        gap=Estimate(0.05, 0.01, 0.09, 48, 12),
        outcome="better",
    )
    suite = SuiteChange(
        title="Suite <X>",
        summary="",
        items=48,
        failed=FailedItems(before={}, after={"the model said nothing": 2}),
        differences=[accuracy],
    )
    return SuitesResult(suites={"starter_x": suite}, measured_tokens=900)


def finished_results(n: int = 12, **changes: float) -> dict[str, Any]:
    """Stage -> its result, of a run that has finished."""
    return {
        "data": data(n),
        "preference": preference(0.7),
        "preference_judge": preference(0.68),
        "best_of_n": best_of_n(),
        "ppo": policy_training(),
        "measure": measure(n, **changes),
        "suites": suites(),
        "export": ExportResult({"policy": "AutoModelForCausalLM"}),
    }


def write_results(folder: Path, results: Mapping[str, Any], *, seconds: float = 2.0) -> None:
    """Into a run folder, as `preflab.run.Run.stage` does."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    for stage, result in results.items():
        text = json.dumps(to_json(result) | {"seconds": seconds})
        (folder / "results" / f"{stage}.json").write_text(text)


def make_run(folder: Path, *, upto: str = "export", until: Until = "measure", n: int = 12, **changes: float) -> Path:
    """A run folder by hand, with the stages up to ``upto``."""
    folder.mkdir(parents=True)
    config = to_json(Config(until=until))
    (folder / "config.json").write_text(json.dumps({"recipe": "align", "config": config}))
    record = {
        "counts": {"train": {"shortened": 0, "refused": ["row 3: too long"]}},
        "data": {"source": "starter", "format": "f", "digest": "sha256:abc", "records": 60, "refused": {"tie": 2}},
        "command": ["preflab", "align", "--name", "my run"],
    }
    (folder / "record.json").write_text(json.dumps(record))
    stages = [stage for stage in STAGES[: STAGES.index(upto) + 1] if stage not in LEFT_OUT[until]]
    results = finished_results(n, **changes)
    write_results(folder, {stage: results[stage] for stage in stages})
    fitting = [{"stage": "preference", "step": i, "loss": 0.7 - i / 100, "accuracy": 0.6} for i in range(1, 9)]
    steps = [] if "ppo" in LEFT_OUT[until] else [{"stage": "ppo", "step": i, **ppo_step(i)} for i in range(1, 25)]
    lines = [json.dumps(line) for line in (*fitting, *steps)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"stage": "ppo", "st')  # the last one cut off by a kill
    return folder


def ppo_step(i: int) -> dict[str, float | None]:
    """What step ``i`` logs."""
    constant = ("entropy", "reply_tokens", "ended_share", "explained_variance", "sampler_gap")
    return dict.fromkeys(constant, 0.5) | {
        "score": i / 12 - 1,
        "score_std": 0.8,
        "reward": i / 20 - 1,
        "kl": i / 6,
        "kl_error": 0.1,
        "kl_coefficient": 0.05,
        "clip_fraction": None if i == 24 else 0.1,
    }
