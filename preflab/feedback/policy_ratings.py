"""How the policies of a study stand to each other, by what people voted."""

from collections.abc import Sequence
from dataclasses import dataclass

from preflab.data.comparison import Comparison
from preflab.errors import DataError
from preflab.maths.elo import to_elo
from preflab.maths.pairwise_votes import Votes
from preflab.maths.ratings import Model, bootstrap_ratings, fit_ratings
from preflab.maths.statistics import Estimate

RIDGE = 0.1
"""Prior precision, per nat squared, where the votes alone fix no ratings: beyond 1,100 Elo would surprise."""
FEWEST_VOTERS = 5
"""Annotators from which on intervals come from resampling them; below, from the curvature."""


@dataclass(frozen=True, slots=True)
class PolicyRatings:
    """Elo of each policy, around the mean of all."""

    elo: dict[str, Estimate]
    """The best first."""
    votes: int
    same_policy: int
    """Votes between two replies of one policy, which say nothing here."""
    note: str
    """How the intervals came about, and what a ridge had to bridge."""


def policy_ratings(comparisons: Sequence[Comparison]) -> PolicyRatings | None:
    """Ratings of the policies named in the comparisons; None where fewer than two are.

    Bradley-Terry with a tie as half a win for each side. Where the votes alone fix no ratings (somebody never lost, or
    nothing connects two groups), a ridge does, and ``note`` says so.
    """
    first, second, outcome, voters, same = [], [], [], [], 0
    for comparison in comparisons:
        names = comparison.provenance.policies
        if not names or not all(names):
            continue
        for pair in comparison.pairs():
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
    model, note = Model(ties="half"), ""
    try:
        fit_ratings(votes, model)
    except DataError as error:
        model, note = Model(ties="half", ridge=RIDGE), f"a ridge of {RIDGE} bridges this: {error.message}; "
    if len(set(voters)) >= FEWEST_VOTERS:
        found, how = bootstrap_ratings(votes, model), f"intervals from resampling {len(set(voters))} annotators"
    else:
        found = fit_ratings(votes, model).estimates()
        how = f"{len(set(voters))} annotator(s): intervals take votes to be independent"
    order = sorted(found, key=lambda name: -found[name].value)
    return PolicyRatings({name: to_elo(found[name]) for name in order}, len(first), same, note + how)
