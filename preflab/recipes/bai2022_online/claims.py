"""The claims of ``bai2022_online``, judged by a run."""

from collections.abc import Mapping

from preflab.maths.statistics import Estimate
from preflab.recipes.bai2022_online.results import TruePreferenceGain, newest_rated
from preflab.reporting.verdicts import Verdict, claim_above

SOURCE = "Bai et al. 2022"
START = "start"
"""Name of the policy that all start from."""


def verdicts(
    rounds: int, accuracy: Estimate | None, ratings: Mapping[str, Estimate], true_gain: TruePreferenceGain | None
) -> list[Verdict]:
    """What the last round says; a claim that nothing can be said of is left out.

    Args:
        rounds     number of the last round.
        accuracy   of its preference model on held-out pairs of its own policies.
        ratings    Elo of the policies by all choices, the start policy at 0.
        true_gain  how the last policy does by the annotators' true preference, where that is known.
    """
    judged: list[Verdict] = []
    if accuracy is not None:
        claim = "a preference model of old and new data picks the better of two replies of the newest policies"
        judged.append(claim_above(claim, accuracy, 0.5, unit="share", source=SOURCE))
    newest = newest_rated(ratings, range(rounds + 1))
    if newest is not None and START in ratings:
        claim = f"{newest} is rated above the policy that all start from"
        judged.append(claim_above(claim, ratings[newest], 0.0, unit="Elo", source=SOURCE))
    if true_gain is not None:
        claim = "the last policy is liked better than the start policy, by the annotators' known preference"
        judged.append(claim_above(claim, true_gain.wins, 0.5, unit="share"))
    return judged
