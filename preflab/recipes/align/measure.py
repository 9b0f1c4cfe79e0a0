"""The comparison at the end of the main job: base, best-of-n and PPO on the same held-out prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from preflab.data.dialogue import Dialogue
from preflab.evals.metrics.reply_stats import reply_facts
from preflab.maths.best_of_n import kl_best_of_n
from preflab.maths.bootstrap import win_rate
from preflab.maths.statistics import Estimate, line_fit, mean_with_interval
from preflab.reporting.verdicts import Verdict, claim_above

JUDGES = ("pm", "pm_judge")


def compare(
    prompts: Sequence[tuple[Dialogue, str]],
    best_of_n: Mapping[str, Any],
    trained: Mapping[str, Any],
    kl: np.ndarray,
    ppo_steps: Sequence[Mapping[str, Any]],
    *,
    n: int,
    method: str = "PPO",
) -> dict[str, Any]:
    """Scores, win rates, lengths and variety of three policies, and replies side by side.

    Args:
        prompts    dialogue and category of each evaluation prompt.
        best_of_n  result of that stage: ``base`` and ``best`` with texts and scores.
        trained    the trained policy's ``texts`` and scores by each judge, [prompt, reply].
        kl         log-ratio of each of its replies to the reference, nats, [prompt, reply].
        ppo_steps  metrics of the PPO steps.
        n          of best-of-n.
        method     what trained the policy.
    """
    k = kl.shape[1]
    groups = np.repeat(np.arange(len(prompts)), k)
    centre = best_of_n["centre"]
    texts = {
        "base": best_of_n["base"]["texts"],
        "best_of_n": best_of_n["best"]["texts"],
        "ppo": [t for rs in trained["texts"] for t in rs],
    }
    gains: dict[str, dict[str, Estimate]] = {"best_of_n": {}, "ppo": {}}
    wins: dict[str, dict[str, Estimate]] = {"best_of_n": {}, "ppo": {}}
    by_category: dict[str, Estimate] = {}
    categories = np.array([category for _, category in prompts])
    for judge in JUDGES:
        base, best = (np.array(best_of_n[who][judge]) for who in ("base", "best"))
        ppo = trained[judge]
        gains["best_of_n"][judge] = mean_with_interval(best - base)
        gains["ppo"][judge] = mean_with_interval((ppo - base[:, None]).ravel(), groups)
        wins["best_of_n"][judge] = win_rate(best, base, np.arange(len(base)))
        wins["ppo"][judge] = win_rate(ppo.ravel(), np.repeat(base, k), groups)
        for name in sorted(set(categories) - {""}) if judge == "pm_judge" else []:
            at = np.repeat(categories == name, k)
            by_category[name] = win_rate(ppo.ravel()[at], np.repeat(base, k)[at], groups[at])
    kl_ppo = mean_with_interval(kl.ravel(), groups)
    best_gap, ppo_gap = win_rate_gap(best_of_n["base"], best_of_n["best"]), win_rate_gap(best_of_n["base"], trained)
    return {
        "n": n,
        "gain": gains,
        "win_rate": wins,
        "win_rate_gap": {"best_of_n": best_gap, "ppo": ppo_gap},
        "win_rate_by_category": by_category,
        "kl": {"best_of_n": kl_best_of_n(n), "ppo": kl_ppo},
        "facts": {name: reply_facts(own) for name, own in texts.items()},
        "root_kl_fit": root_kl_fit(ppo_steps),
        "examples": _examples(prompts, best_of_n, trained, centre),
        "verdicts": verdicts(gains, wins, kl_ppo, method) + overoptimisation_verdicts(best_gap, ppo_gap, method),
    }


def win_rate_gap(base: Mapping[str, Any], policy: Mapping[str, Any]) -> Estimate:
    """How much more often a policy wins over the base by the model it was improved with than by the other one.

    Wins by both models are counted on the same replies, so that scores of two models, whose scales differ, are never
    compared. A tie is half a win; the interval resamples prompts.

    Args:
        base    its score of each prompt's reply by each model, [prompt].
        policy  its scores, [prompt] or [prompt, reply].
    """
    wins = []
    for judge in JUDGES:
        scores = np.asarray(policy[judge], dtype=float).reshape(len(base[judge]), -1)
        gap = scores - np.asarray(base[judge], dtype=float)[:, None]
        wins.append((np.sign(gap) + 1) / 2)
    groups = np.repeat(np.arange(wins[0].shape[0]), wins[0].shape[1])
    return mean_with_interval((wins[0] - wins[1]).ravel(), groups)


def root_kl_fit(steps: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Does the score rise in a straight line with sqrt(KL), and straighter than with KL? (Bai et al., sec. 4.3)"""
    score = np.array([s["score"] for s in steps])
    kl = np.maximum(0.0, np.array([s["kl"] for s in steps]))
    if len(steps) < 3 or np.ptp(kl) == 0:
        return None
    root, plain = line_fit(np.sqrt(kl), score), line_fit(kl, score)
    return {
        "slope": root.slope,
        "intercept": root.intercept,
        "r_squared": root.r_squared,
        "r_squared_in_kl": plain.r_squared,
        "n": len(steps),
    }


def verdicts(
    gains: Mapping[str, Mapping[str, Estimate]], wins: Mapping[str, Mapping[str, Estimate]], kl: Estimate, method: str
) -> list[Verdict]:
    """The claims of the recipe about the improved policies."""
    bai, gao = "Bai et al. 2022", "Gao et al. 2022"
    return [
        claim_above(
            "best-of-n raises the score on unseen prompts", gains["best_of_n"]["pm"], 0.0, unit="nats", source=gao
        ),
        claim_above(
            "best-of-n wins over the base by the second model",
            wins["best_of_n"]["pm_judge"],
            0.5,
            unit="share",
            source=bai,
        ),
        claim_above(
            f"{method} raises the score on unseen prompts (at KL {kl.value:.1f} nats)",
            gains["ppo"]["pm"],
            0.0,
            unit="nats",
            source=bai,
        ),
        claim_above(
            f"{method} wins over the base by the second model", wins["ppo"]["pm_judge"], 0.5, unit="share", source=bai
        ),
    ]


def overoptimisation_verdicts(best_of_n: Estimate, trained: Estimate, method: str) -> list[Verdict]:
    """Whether what was optimised rose more than what it stands for."""
    source = "Gao et al. 2022"
    claims = (
        ("best-of-n wins more often by the model that picks than by the second model", best_of_n),
        (f"{method} wins more often by the model it is trained on than by the second model", trained),
    )
    return [claim_above(claim, gap, 0.0, unit="share", source=source) for claim, gap in claims]


def preference_verdicts(result: Mapping[str, Any]) -> list[Verdict]:
    """The claims of the recipe about a preference model, from its stage's result."""
    accuracy = Estimate.from_json(result["accuracy"])
    found = [
        claim_above("picks the better of two unseen replies", accuracy, 0.5, unit="share", source="Bai et al. 2022")
    ]
    for name, lead in result["lead"].items():
        estimate = Estimate.from_json(lead)
        found.append(
            claim_above(f"is more often right than {name}", estimate, 0.0, unit="share", source="Bai et al. 2022")
        )
    return found


def stage_verdicts(results: Mapping[str, Any]) -> dict[str, list[Verdict]]:
    """What the stages of both preference models say of the claims; by stage, from results as JSON has them."""
    stages = ("preference", "preference_judge")
    return {stage: preference_verdicts(results[stage]) for stage in stages if stage in results}


def _examples(
    prompts: Sequence[tuple[Dialogue, str]],
    best_of_n: Mapping[str, Any],
    trained: Mapping[str, Any],
    centre: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Every evaluation prompt with one reply of each policy; scores are by the second model, centred."""
    shift = centre["pm_judge"]
    return [
        {
            "prompt": prompt.to_json(),
            "category": category,
            "base": best_of_n["base"]["texts"][i],
            "best_of_n": best_of_n["best"]["texts"][i],
            "ppo": trained["texts"][i][0],
            "judge": {
                "base": best_of_n["base"]["pm_judge"][i] - shift,
                "best_of_n": best_of_n["best"]["pm_judge"][i] - shift,
                "ppo": float(trained["pm_judge"][i][0]) - shift,
            },
        }
        for i, (prompt, category) in enumerate(prompts)
    ]
