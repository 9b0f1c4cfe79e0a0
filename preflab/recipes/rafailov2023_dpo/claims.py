"""What a run of the recipe ``rafailov2023_dpo`` says of its claims."""

from typing import Literal

from preflab.evals.metrics.preference import PreferenceReport
from preflab.maths.statistics import Estimate
from preflab.reporting.verdicts import Verdict, claim_above

Loss = Literal["dpo", "ipo"]
SOURCES: dict[Loss, str] = {"dpo": "Rafailov et al. 2023", "ipo": "Azar et al. 2023"}
"""Which paper makes the claims, by the loss that is fitted."""


def implicit_reward_verdicts(report: PreferenceReport, loss: Loss) -> list[Verdict]:
    """Whether implicit rewards order unseen pairs, better than chance and than each baseline."""
    source = SOURCES[loss]
    claim = "implicit rewards pick the better of two unseen replies"
    return [
        claim_above(claim, report.accuracy, 0.5, unit="share", source=source),
        *(
            claim_above(f"... more often than {baseline}", lead, 0.0, unit="share", source=source)
            for baseline, lead in report.lead.items()
        ),
    ]


def policy_verdicts(gain: Estimate, win_rate: Estimate, kl: Estimate, loss: Loss) -> list[Verdict]:
    """Whether the policy's replies are better than its reference's by the held-out preference model.

    Args:
        gain      in score, nats.
        win_rate  share of replies that are preferred to the reference's.
        kl        of the policy from its reference, nats per reply: what the gain was bought with.
    """
    source, method = SOURCES[loss], loss.upper()
    raises = f"{method} raises the judge's score on unseen prompts (at KL {kl.value:.1f} nats)"
    return [
        claim_above(raises, gain, 0.0, unit="nats", source=source),
        claim_above(f"{method} wins over its reference by the judge", win_rate, 0.5, unit="share", source=source),
    ]
