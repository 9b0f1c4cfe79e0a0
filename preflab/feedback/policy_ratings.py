"""How the policies of a study stand to each other, by what people voted."""

from collections.abc import Sequence
from dataclasses import dataclass

from preflab.data.comparison import EDITOR, Comparison
from preflab.maths.pairwise_votes import Votes
from preflab.maths.ratings import rate_policies, to_elo
from preflab.maths.statistics import Estimate


@dataclass(frozen=True, slots=True)
class PolicyRatings:
    """Elo of each policy, around the mean of all."""

    elo: dict[str, Estimate]
    """The best first."""
    votes: int
    same_policy: int
    """Votes between two replies of one policy, which say nothing here."""
    ridge: float
    """Of the fit, per nat squared; 0 where the votes alone fix the ratings."""
    note: str
    """How the intervals came about, and what a ridge had to bridge."""


def policy_ratings(comparisons: Sequence[Comparison]) -> PolicyRatings | None:
    """Ratings of the policies named in the comparisons; None where fewer than two are.

    By `preflab.maths.ratings.rate_policies`: maximum likelihood with Davidson's ties; where the votes alone fix no
    ratings (somebody never lost, or nothing connects two groups), a ridge does, and ``ridge`` and ``note`` say so.
    An annotator's edits are no policy: what they were held against is not rated by them.
    """
    first, second, outcome, voters, same = [], [], [], [], 0
    for comparison in comparisons:
        names = comparison.provenance.policies
        if not names or not all(names):
            continue
        for pair in comparison.pairs():
            if EDITOR in (names[pair.a], names[pair.b]):
                continue
            if names[pair.a] == names[pair.b]:
                same += 1
                continue
            first.append(names[pair.a])
            second.append(names[pair.b])
            outcome.append(pair.prob_a)
            voters.append(comparison.provenance.annotator)
    if not first:
        return None
    votes = Votes.of(first, second, outcome, voters=voters, names=sorted({*first, *second}))
    rated = rate_policies(votes)
    if rated.resampled:
        note = f"intervals from resampling {votes.voters} annotators"
    else:
        note = f"{votes.voters} annotator(s): intervals take votes to be independent"
    if rated.ridge:
        note = f"a ridge of {rated.ridge} bridges this: {'; '.join(rated.complaints)}; {note}"
    order = sorted(rated.nats, key=lambda name: -rated.nats[name].value)
    elo = {name: to_elo(rated.nats[name]) for name in order}
    return PolicyRatings(elo, len(first), same, rated.ridge, note)
