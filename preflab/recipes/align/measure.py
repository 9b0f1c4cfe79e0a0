"""The comparison at the end of the main job: base, best-of-n and trained policy on the same held-out prompts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from preflab.evals.metrics.reply_stats import reply_facts
from preflab.maths.best_of_n import expected_best_of_n, kl_best_of_n, kl_best_of_n_exact
from preflab.maths.bootstrap import win_rate
from preflab.maths.statistics import Estimate, line_fit, mean_with_interval
from preflab.recipes.align.claims import overoptimisation_verdicts, policy_verdicts
from preflab.recipes.align.results import (
    BestOfNResult,
    ByJudge,
    ByPolicyAndJudge,
    CurvePoint,
    FactsByPolicy,
    KLToBase,
    MeanScores,
    MeasureResult,
    PolicyReplies,
    PolicyScores,
    ReplyCounts,
    RootKLFit,
    ScoredReplies,
    WinRateGaps,
)
from preflab.recipes.common.reply_evaluation import EvaluationPrompt

FEWEST_STEPS = 3
"""For a straight line through them that is not exact."""


class JudgedScores(NamedTuple):
    """Scores of the same replies by both preference models, nats, [prompt, reply] or [prompt]."""

    training_pm: Float[np.ndarray, " prompt *reply"]
    held_out_pm: Float[np.ndarray, " prompt *reply"]


@dataclass(frozen=True, kw_only=True)
class TrainedReplies:
    """Replies of the trained policy to the evaluation prompts, as many to each."""

    texts: Sequence[Sequence[str]]
    """[prompt][reply]"""
    scores: JudgedScores
    """[prompt, reply]"""
    log_ratios: Float[np.ndarray, "prompt reply"]
    """log policy - log reference of whole replies, nats; their mean estimates KL."""
    counts: ReplyCounts


def compare_policies(
    prompts: Sequence[EvaluationPrompt],
    best_of_n: BestOfNResult,
    trained: TrainedReplies,
    fit: RootKLFit | None,
    *,
    n: int,
    method: str,
) -> MeasureResult:
    """Scores, win rates, lengths and variety of three policies, and replies side by side.

    Args:
        prompts    on which they are compared.
        best_of_n  replies of the base policy, and the best of n.
        trained    replies of the trained policy.
        fit        of the score in the square root of KL, over the steps of the training.
        n          of best-of-n.
        method     what trained the policy.
    """
    base, best = judged_scores(best_of_n.base), judged_scores(best_of_n.best)
    gain = ByPolicyAndJudge(
        best_of_n=by_judge(lambda policy, start: mean_with_interval(policy - start), best, base),
        trained=by_judge(score_gain, trained.scores, base),
    )
    wins = ByPolicyAndJudge(
        best_of_n=by_judge(share_of_wins, best, base), trained=by_judge(share_of_wins, trained.scores, base)
    )
    gap = WinRateGaps(best_of_n=win_rate_gap(base, best), trained=win_rate_gap(base, trained.scores))
    kl = mean_with_interval(trained.log_ratios.ravel(), prompt_groups(trained.log_ratios))
    return MeasureResult(
        **vars(trained.counts),
        n=n,
        gain=gain,
        win_rate=wins,
        win_rate_gap=gap,
        win_rate_by_category=wins_by_category(
            trained.scores.held_out_pm, base.held_out_pm, [prompt.category for prompt in prompts]
        ),
        kl=KLToBase(best_of_n=kl_best_of_n(n), trained=kl),
        facts=FactsByPolicy(
            base=reply_facts(best_of_n.base.texts),
            best_of_n=reply_facts(best_of_n.best.texts),
            trained=reply_facts([text for replies in trained.texts for text in replies]),
        ),
        root_kl_fit=fit,
        examples=replies_side_by_side(prompts, best_of_n, trained),
        verdicts=policy_verdicts(gain, wins, kl, method) + overoptimisation_verdicts(gap, method),
    )


# estimates -----------------------------------------------------------------------------------------------


def judged_scores(replies: ScoredReplies) -> JudgedScores:
    """Of one reply a prompt, [prompt]."""
    return JudgedScores(np.array(replies.training_pm), np.array(replies.held_out_pm))


def by_judge(
    estimate: Callable[[np.ndarray, np.ndarray], Estimate], policy: JudgedScores, base: JudgedScores
) -> ByJudge:
    """One estimate of a policy against the base policy, by each preference model."""
    training, held_out = (estimate(*scores) for scores in zip(policy, base, strict=True))
    return ByJudge(training_pm=training, held_out_pm=held_out)


def prompt_groups(scores: Float[np.ndarray, "prompt reply"]) -> Int[np.ndarray, " item"]:
    """Number of the prompt of each reply, prompt by prompt."""
    return np.repeat(np.arange(scores.shape[0]), scores.shape[1])


def score_gain(policy: Float[np.ndarray, "prompt reply"], base: Float[np.ndarray, " prompt"]) -> Estimate:
    """How much higher replies score than the base policy's, nats; the interval resamples prompts."""
    return mean_with_interval((policy - base[:, None]).ravel(), prompt_groups(policy))


def share_of_wins(policy: Float[np.ndarray, " prompt *reply"], base: Float[np.ndarray, " prompt"]) -> Estimate:
    """Share of replies that score higher than the base policy's; a tie counts half, the interval resamples prompts."""
    replies = policy.reshape(len(base), -1)
    return win_rate(replies.ravel(), np.repeat(base, replies.shape[1]), prompt_groups(replies))


def wins_by_category(
    policy: Float[np.ndarray, "prompt reply"], base: Float[np.ndarray, " prompt"], categories: Sequence[str]
) -> dict[str, Estimate]:
    """Win rates over the prompts of each category that has a name."""
    masks = {name: np.array(categories) == name for name in sorted(set(categories) - {""})}
    all_groups = prompt_groups(policy)
    wins = {}
    for name, mask in masks.items():
        of_category = np.repeat(mask, policy.shape[1])
        scores = policy[mask]
        wins[name] = win_rate(scores.ravel(), np.repeat(base[mask], policy.shape[1]), all_groups[of_category])
    return wins


def win_rate_gap(base: JudgedScores, policy: JudgedScores) -> Estimate:
    """How much more often a policy wins over the base by the model it was improved with than by the held-out one.

    Wins by both models are counted on the same replies, so that scores of two models, whose scales differ, are never
    compared. A tie is half a win; the interval resamples prompts.

    Args:
        base    its scores, [prompt].
        policy  its scores, [prompt] or [prompt, reply].
    """
    training, held_out = (
        (np.sign(scores.reshape(len(start), -1) - start[:, None]) + 1) / 2
        for scores, start in zip(policy, base, strict=True)
    )
    return mean_with_interval((training - held_out).ravel(), prompt_groups(training))


def best_of_n_curve(scores: JudgedScores, centre: MeanScores, most: int) -> list[CurvePoint]:
    """Expected scores of the best of n replies as the training model picks them, for n = 1, 2, 4 ... and ``most``.

    Args:
        scores  of the replies that are picked from, [prompt, reply].
        centre  what counts as 0 by each model.
        most    the largest n.
    """
    return [
        CurvePoint(
            n=n,
            kl=kl_best_of_n(n),
            kl_of_drawn=kl_of_drawn(scores.training_pm, n),
            score=mean_with_interval(
                expected_best_of_n(scores.training_pm, scores.training_pm, n) - centre.training_pm
            ),
            held_out_score=mean_with_interval(
                expected_best_of_n(scores.training_pm, scores.held_out_pm, n) - centre.held_out_pm
            ),
        )
        for n in powers_of_two(most)
    ]


def kl_of_drawn(scores: Float[np.ndarray, "prompt reply"], n: int) -> Estimate:
    """Exact KL of best-of-n where the drawn replies are all that the policy can say, each as likely; over prompts.

    Replies of one score count as one outcome, so that it falls below `kl_best_of_n` where they repeat or tie (Beirami
    et al. 2024), and a little because so few were drawn.

    Args:
        scores  by the model that picks, nats.
        n       replies to pick from.

    Returns:
        nats per reply; the interval resamples prompts.
    """
    drawn = scores.shape[1]
    return mean_with_interval(np.array([kl_best_of_n_exact(np.full(drawn, 1 / drawn), row, n) for row in scores]))


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4 ... up to ``most``, which is always the last."""
    return sorted({2**k for k in range(most.bit_length()) if 2**k <= most} | {most})


def root_kl_fit(kl: Sequence[float], score: Sequence[float]) -> RootKLFit | None:
    """Does the score rise in a straight line with sqrt(KL), and straighter than with KL? (Bai et al., sec. 4.3)

    Args:
        kl     of each step, nats; an estimate below 0 counts as 0.
        score  of each step, nats.

    Returns:
        None with fewer than three steps, or where KL does not vary.
    """
    distance = np.maximum(0.0, np.array(kl))
    if len(kl) < FEWEST_STEPS or np.ptp(distance) == 0:
        return None
    in_root, in_kl = line_fit(np.sqrt(distance), np.array(score)), line_fit(distance, np.array(score))
    return RootKLFit(
        slope=in_root.slope,
        intercept=in_root.intercept,
        r_squared=in_root.r_squared,
        r_squared_in_kl=in_kl.r_squared,
        n=len(kl),
    )


def replies_side_by_side(
    prompts: Sequence[EvaluationPrompt], best_of_n: BestOfNResult, trained: TrainedReplies
) -> list[PolicyReplies]:
    """Every evaluation prompt with one reply of each policy; scores are by the held-out model, centred."""
    base, best, centre = best_of_n.base, best_of_n.best, best_of_n.centre.held_out_pm
    return [
        PolicyReplies(
            prompt=prompt.dialogue.to_json(),
            category=prompt.category,
            base=base.texts[i],
            best_of_n=best.texts[i],
            trained=trained.texts[i][0],
            scores=PolicyScores(
                base=base.held_out_pm[i] - centre,
                best_of_n=best.held_out_pm[i] - centre,
                trained=float(trained.scores.held_out_pm[i, 0]) - centre,
            ),
        )
        for i, prompt in enumerate(prompts)
    ]
