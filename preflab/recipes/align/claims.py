"""What a run of the recipe ``align`` says of its claims.

The registry of sources (``preflab/runner/sources.yaml``) knows the claims by the words that stand here.
"""

from collections.abc import Mapping
from typing import Any

from preflab.maths.statistics import Estimate
from preflab.recipes.align.results import ByPolicyAndJudge, WinRateGaps
from preflab.reporting.verdicts import Verdict, claim_above

BAI = "Bai et al. 2022"
GAO = "Gao et al. 2022"


def preference_verdicts(accuracy: Estimate, lead: Mapping[str, Estimate]) -> list[Verdict]:
    """Whether a preference model orders unseen pairs, better than chance and than each baseline.

    Args:
        accuracy  share of unseen pairs whose better reply it picks.
        lead      baseline -> how much more often the model is right than it, a share.
    """
    return [
        claim_above("picks the better of two unseen replies", accuracy, 0.5, unit="share", source=BAI),
        *(
            claim_above(f"is more often right than {baseline}", estimate, 0.0, unit="share", source=BAI)
            for baseline, estimate in lead.items()
        ),
    ]


def stage_verdicts(results: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Verdict]]:
    """What the stages of both preference models say of the claims, by stage.

    Args:
        results  stage -> its result as JSON has it; of any version, since runs of earlier ones are published too.
    """
    return {
        stage: preference_verdicts(
            Estimate.from_json(results[stage]["accuracy"]),
            {baseline: Estimate.from_json(lead) for baseline, lead in results[stage]["lead"].items()},
        )
        for stage in ("preference", "preference_judge")
        if stage in results
    }


def policy_verdicts(gain: ByPolicyAndJudge, win_rate: ByPolicyAndJudge, kl: Estimate, method: str) -> list[Verdict]:
    """Whether the improved policies are better than the base policy.

    Args:
        gain      in score, nats.
        win_rate  share of prompts on which a policy wins over the base policy.
        kl        of the trained policy from the base policy, nats per reply: what its gain was bought with.
        method    what trained the policy.
    """
    best_of_n, trained = win_rate.best_of_n.held_out_pm, win_rate.trained.held_out_pm
    raises = "raises the score on unseen prompts"
    at_kl = f"(at KL {kl.value:.1f} nats)"
    wins = "wins over the base by the second model"
    return [
        claim_above(f"best-of-n {raises}", gain.best_of_n.training_pm, 0.0, unit="nats", source=GAO),
        claim_above(f"best-of-n {wins}", best_of_n, 0.5, unit="share", source=BAI),
        claim_above(f"{method} {raises} {at_kl}", gain.trained.training_pm, 0.0, unit="nats", source=BAI),
        claim_above(f"{method} {wins}", trained, 0.5, unit="share", source=BAI),
    ]


def overoptimisation_verdicts(gap: WinRateGaps, method: str) -> list[Verdict]:
    """Whether what was optimised rose more than what it stands for.

    Args:
        gap     how much more often a policy wins by the model it was improved with than by the held-out one.
        method  what trained the policy.
    """
    claims = (
        ("best-of-n wins more often by the model that picks than by the second model", gap.best_of_n),
        (f"{method} wins more often by the model it is trained on than by the second model", gap.trained),
    )
    return [claim_above(claim, estimate, 0.0, unit="share", source=GAO) for claim, estimate in claims]
