"""Bradley-Terry ratings with ties: by maximum likelihood, or with a ridge by maximum a posteriori.

Ratings are in nats: one nat ahead means odds of e to 1. On the Elo scale 400 are odds of 10 to 1, so one nat is
``400 / ln 10 = 173.7`` Elo: ``d`` Elo ahead wins with probability ``1 / (1 + 10^(-d / 400))`` (Bai et al. 2022 HH,
sec. 1.3, who write 174; they print the exponent without its sign). Ties follow
Davidson 1970 or count as half a win for each side. Davidson's model is preferred to Rao and Kupper's because it is
an exponential family: its likelihood has one maximum, and the odds of winning against losing are
``exp(difference)`` however common ties are. Pure numpy.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from preflab.errors import ConfigError, DataError
from preflab.maths.bootstrap import bootstrap_of_sums, percentiles
from preflab.maths.pairwise_votes import Tally, Ties, Votes, diagnose, is_sound, tally
from preflab.maths.statistics import Count, Estimate, check_level

_STEPS = 100  # Newton needs about six
_HALVINGS = 30
_TIGHT = 1e-10  # largest slope at the maximum, per vote
ELO_PER_NAT = 400 / math.log(10)
RIDGE = 0.1
"""Prior precision, per nat squared, where the votes alone fix no ratings: beyond 1,100 Elo would surprise."""
FEWEST_VOTERS = 5
"""Voters from which on intervals come from resampling them; below, from the curvature."""


@dataclass(frozen=True)
class Model:
    """How votes become ratings."""

    ties: Ties = "davidson"
    """``davidson``: a tie is a result of its own, as likely as ``nu * sqrt(p_i p_j)`` for strengths p; ``half``: a
    tie is half a win for each side."""
    ridge: Count = 0.0
    """Precision of a normal prior on each rating, per nat squared; 0 for none. 1 / ridge is the prior variance:
    0.1 says that ratings beyond 6 nats (1100 Elo) would surprise. With a ridge every set of votes has ratings."""
    anchor: str | None = None
    """The item whose rating is 0; None puts the mean of all at 0. Intervals are of the difference to it."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.ridge) and self.ridge >= 0):
            raise ConfigError(f"ridge must be 0 or above, got {self.ridge}; 0 is plain maximum likelihood")


@dataclass(frozen=True, eq=False, kw_only=True)
class Ratings:
    """A fit: ratings, how sure they are, and what the ridge had to bridge."""

    names: tuple[str, ...]
    nats: Float64[np.ndarray, " item"]
    """Higher is better; the anchor, or the mean, is at 0."""
    covariance: Float64[np.ndarray, "item item"]
    """Of the ratings, from the curvature at the maximum, in nats squared."""
    nu: float
    """Davidson's tie parameter: equals tie with probability ``nu / (2 + nu)``; 0 without ties or where they count
    half."""
    model: Model
    complaints: tuple[str, ...]
    """Why the votes alone fix no ratings; empty where they do. Only a ridge lets such a fit through."""
    n: int
    """Votes."""
    voters: int | None

    def index_of(self, name: str) -> int:
        """Where an item stands in ``names``.

        Raises:
            DataError: no such item.
        """
        if name not in self.names:
            raise DataError(f"{name!r} was not rated; expected one of {', '.join(self.names)}")
        return self.names.index(name)

    def estimates(self, level: float = 0.95) -> dict[str, Estimate]:
        """Ratings with intervals from the curvature, which takes votes to be independent; else `bootstrap_ratings`."""
        reach = _normal(level) * np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return {
            name: Estimate(float(x), float(x - r), float(x + r), self.n, self.voters, level)
            for name, x, r in zip(self.names, self.nats, reach, strict=True)
        }

    def difference(self, better: str, worse: str, level: float = 0.95) -> Estimate:
        """How far one item is ahead of another in nats, with its own interval; no anchor matters to it."""
        a, b = self.index_of(better), self.index_of(worse)
        gap, cov = float(self.nats[a] - self.nats[b]), self.covariance
        reach = _normal(level) * math.sqrt(max(0.0, float(cov[a, a] + cov[b, b] - 2 * cov[a, b])))
        return Estimate(gap, gap - reach, gap + reach, self.n, self.voters, level)


def fit_ratings(votes: Votes, model: Model | None = None) -> Ratings:
    """Ratings that make the votes likeliest.

    With ``d = s_i - s_j``: ``P(i) : P(j) : P(tie) = e^(d/2) : e^(-d/2) : nu`` (Davidson 1970). Maximises
    ``sum over votes of weight * log P(result) - ridge / 2 * sum s_i^2`` over all ``s`` and ``nu`` by Newton's method.
    Without ties, or where they count half, ``nu = 0`` and this is Bradley and Terry's ``P(i) = sigmoid(d)``, the
    likelihood of Bai et al. 2022 HH, sec. 1.3.

    Args:
        votes    comparisons; an item that ``names`` lists without a vote needs a ridge.
        model    ties, ridge and anchor; default `Model()`.

    Returns:
        ratings  in nats, with the covariance from the inverse of the curvature (with a ridge: of the posterior).

    Raises:
        DataError: the votes fix no ratings and there is no ridge (the message names the items), all votes are ties
            where ties follow Davidson, an outcome is neither 0, 0.5 nor 1 there, or the anchor is not among the items.
    """
    model = model or Model()
    counted = tally(votes, model.ties)
    if counted.counts[2].sum() == counted.counts.sum():
        raise DataError("every vote is a tie: Davidson's model cannot rate that; let ties count half")
    complaints = diagnose(counted).complaints()
    if model.anchor is not None and model.anchor not in votes.names:
        raise DataError(f"the anchor must be one of {', '.join(votes.names)}, got {model.anchor!r}")
    if complaints and model.ridge == 0:
        raise DataError(f"these votes fix no ratings: {'; '.join(complaints)}. Collect such comparisons, leave the "
                        f"items out, or set a ridge above 0")  # fmt: skip
    counts = counted.counts[None]
    solved, converged = _maximise(counted, counts, model.ridge)
    if not converged.all():
        raise DataError(f"the ratings did not settle in {_STEPS} steps: the votes hardly fix them; set a larger ridge")
    n = len(votes.names)
    turn = _reference(votes.names, model.anchor)
    _, curvature = _slopes(counted, counts, solved, model.ridge)
    covariance = np.linalg.inv(curvature[0])[:n, :n]
    return Ratings(
        names=votes.names,
        nats=turn @ solved[0, :n],
        covariance=turn @ covariance @ turn.T,
        nu=float(np.exp(solved[0, n])),
        model=model,
        complaints=complaints,
        n=len(votes),
        voters=votes.voters,
    )


def bootstrap_ratings(
    votes: Votes, model: Model | None = None, *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, Estimate]:
    """Ratings with intervals from resampling whole voters, or votes where voters are not named.

    People differ in taste, so the votes of one are not independent and the curvature's interval is too narrow. A
    resample that fixes no ratings (nobody in it who ever voted against the best) lies beyond both ends: few voters
    and a lopsided item give an unbounded interval, unless there is a ridge.

    Args:
        votes, model   as in `fit_ratings`, and so are the errors.
        draws          resamples, at least 100.
        seed           the same seed gives the same intervals.
        level          in (0, 1).

    Returns:
        ratings        name -> nats, relative to the anchor or the mean; unbounded with a single voter.

    Raises:
        ConfigError: ``draws`` or ``level`` is out of range.
    """
    model = model or Model()
    check_level(level)
    fit = fit_ratings(votes, model)
    counted, turn, n = tally(votes, model.ties), _reference(votes.names, model.anchor), len(votes.names)
    if counted.parts.shape[0] < 2:
        ends = [(-math.inf, math.inf)] * n
    else:

        def rate(sums: Float64[np.ndarray, "draw part"]) -> Float64[np.ndarray, "draw item"]:
            counts = sums.reshape(len(sums), 3, -1)
            solved, converged = _maximise(counted, counts, model.ridge)
            if model.ridge == 0:
                # Where each pair was won both ways a resample is sound, since the votes as a whole are.
                doubtful = np.flatnonzero(converged & (counts[:, :2] <= 0).any((1, 2)))
                converged[doubtful] = [is_sound(counted, counts[draw]) for draw in doubtful]
            return np.where(converged[:, None], solved[:, :n] @ turn.T, np.nan)

        drawn = bootstrap_of_sums(counted.parts, rate, draws=draws, seed=seed)
        ends = [percentiles(drawn[:, k], level) for k in range(n)]
    return {
        name: Estimate(float(x), *(ends[k] if name != model.anchor else (0.0, 0.0)), fit.n, fit.voters, level)
        for k, (name, x) in enumerate(zip(fit.names, fit.nats, strict=True))
    }


@dataclass(frozen=True, kw_only=True)
class PolicyRatings:
    """Ratings of policies, and how they came about."""

    nats: dict[str, Estimate]
    """In the order of the votes' names, relative to the anchor or the mean."""
    ridge: float
    """Of the fit: 0 where the votes fix the ratings, else `RIDGE`."""
    complaints: tuple[str, ...]
    """What the ridge had to bridge; empty without one."""
    resampled: bool
    """Whether intervals come from resampling voters; else from the curvature, which takes votes to be independent."""


def rate_policies(votes: Votes, *, anchor: str | None = None, seed: int = 0) -> PolicyRatings:
    """Ratings of policies as every report of the library gives them.

    Maximum likelihood, which does not shrink what the votes say; `RIDGE` only where they fix no ratings (a policy
    unbeaten or without a win, groups that never met). Ties follow Davidson 1970; where all votes are ties or some are
    shares of a win, for which his model has no place, they count half. Intervals are by `bootstrap_ratings` from
    `FEWEST_VOTERS` voters on, else by `Ratings.estimates`.

    Args:
        votes   comparisons of policies, with their voters.
        anchor  the policy at 0; None puts the mean of all there.
        seed    of the resamples.

    Raises:
        DataError: the anchor is not among the policies.
    """
    tied = votes.outcome == 0.5
    davidson = not tied.all() and bool((tied | np.isin(votes.outcome, (0.0, 1.0))).all())
    model = Model(ties="davidson" if davidson else "half", anchor=anchor)
    complaints: tuple[str, ...] = ()
    try:
        fit = fit_ratings(votes, model)
    except DataError as error:
        model = replace(model, ridge=RIDGE)
        fit = fit_ratings(votes, model)
        complaints = fit.complaints or (error.message,)
    resampled = (votes.voters or 0) >= FEWEST_VOTERS
    nats = bootstrap_ratings(votes, model, seed=seed) if resampled else fit.estimates()
    return PolicyRatings(nats=nats, ridge=float(model.ridge), complaints=complaints, resampled=resampled)


def to_elo(nats: Estimate, at: Count = 0.0) -> Estimate:
    """A rating on the Elo scale; ``at`` is the Elo of 0 nats."""
    value, low, high = (at + ELO_PER_NAT * x for x in (nats.value, nats.low, nats.high))
    return replace(nats, value=value, low=low, high=high)


# the maximum ---------------------------------------------------------------------------------------------
# Many sets of counts of the same pairs are solved at once. ``theta`` is [draw, item + 1]: ratings, then log nu.


def _probabilities(gap: np.ndarray, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a win of the left, of the right, and of a tie; the larger exponential is divided out first."""
    ahead = np.exp(np.minimum(gap, 0.0)), np.exp(np.minimum(-gap, 0.0))
    tie = nu * np.exp(-np.abs(gap) / 2)
    total = ahead[0] + ahead[1] + tie
    return ahead[0] / total, ahead[1] / total, np.asarray(tie / total)


def _likelihood(counted: Tally, counts: np.ndarray, theta: np.ndarray, ridge: Count) -> Float64[np.ndarray, " draw"]:
    """Log-likelihood less the ridge's penalty; a set without ties leaves log nu at -inf."""
    gap = theta[:, counted.left] - theta[:, counted.right]
    log_nu = theta[:, -1:]
    both = np.maximum(gap, 0.0) + np.log1p(np.exp(-np.abs(gap)))  # log(e^gap + 1)
    total = np.logaddexp(both - gap / 2, log_nu)
    tied = counts[:, 2]
    value = (counts[:, 0] - counts[:, 1]) * gap / 2 - counts.sum(1) * total
    value += np.where(tied > 0, tied * np.where(np.isfinite(log_nu), log_nu, 0.0), 0.0)
    return np.asarray(value.sum(1) - ridge / 2 * (theta[:, :-1] ** 2).sum(1))


def _slopes(counted: Tally, counts: np.ndarray, theta: np.ndarray, ridge: Count) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the likelihood [draw, item + 1] and its curvature with the sign turned [draw, item + 1, item + 1].

    Without a ridge nothing fixes the mean of the ratings: the curvature gets a 1 in that direction, so that it has
    an inverse and every step keeps the mean. A set without ties gets a 1 for log nu, which does not move then.
    """
    (i, j), n = (counted.left, counted.right), len(counted.names)
    gap, nu = theta[:, i] - theta[:, j], np.exp(theta[:, -1:])
    win, lose, tie = _probabilities(gap, nu)
    total, lean = counts.sum(1), (win - lose) / 2
    rise = (counts[:, 0] - counts[:, 1]) / 2 - total * lean
    gradient = np.zeros_like(theta)
    curvature = np.zeros((len(theta), n + 1, n + 1))
    bend = total * ((win + lose) / 4 - lean**2)
    cross = -total * tie * lean
    ends = counted.ends
    gradient[:, :n] = rise @ ends
    curvature[:, n, :n] = cross @ ends
    curvature[:, range(n), range(n)] = bend @ abs(ends) + ridge
    curvature[:, i, j] = -bend
    curvature[:, j, i] = -bend
    curvature[:, :n, n] = curvature[:, n, :n]
    gradient[:, :n] -= ridge * theta[:, :n]
    if ridge == 0:
        curvature[:, :n, :n] += 1 / n
    gradient[:, n] = (counts[:, 2] - total * tie).sum(1)
    untied = counts[:, 2].sum(1) == 0
    curvature[:, n, n] = np.where(untied, 1.0, (total * tie * (1 - tie)).sum(1))
    return gradient, curvature


def _maximise(counted: Tally, counts: np.ndarray, ridge: Count) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method with halved steps, for all sets at once: theta, and whether each settled.

    The sets that have settled are left alone. A set whose maximum does not exist is stopped, and called unsettled,
    when its curvature has no inverse any more or the steps run out.
    """
    n, draws = len(counted.names), len(counts)
    theta = np.zeros((draws, n + 1))
    ties, games = counts[:, 2].sum(1), counts.sum((1, 2))
    with np.errstate(divide="ignore"):
        theta[:, n] = np.log(2 * ties / np.maximum(games - ties, 1e-300))  # nu of equals
    settled = np.zeros(draws, dtype=bool)
    running = np.flatnonzero(games > ties)
    for _ in range(_STEPS):
        if not len(running):
            break
        gradient, curvature = _slopes(counted, counts[running], theta[running], ridge)
        converged = np.abs(gradient).max(1) <= _TIGHT * games[running]
        diverged = np.abs(theta[running, :n]).max(1) > 300  # e^300: it runs away
        settled[running[converged]] = True
        going = ~converged & ~diverged
        running = running[going]
        if len(running):
            theta[running] = _step(counted, counts[running], theta[running], gradient[going], curvature[going], ridge)
    return theta, settled


def _step(
    counted: Tally, counts: np.ndarray, theta: np.ndarray, gradient: np.ndarray, curvature: np.ndarray, ridge: Count
) -> np.ndarray:
    """One step uphill: Newton's where it rises, else a half of it, a quarter, ..."""
    scale = curvature.diagonal(axis1=1, axis2=2).max(1)
    floor = 1e-13 * scale[:, None, None] * np.eye(curvature.shape[1])
    move = np.linalg.solve(curvature + floor, gradient[:, :, None])[:, :, 0]
    before = _likelihood(counted, counts, theta, ridge)
    size = np.minimum(1.0, 5.0 / np.maximum(np.abs(move).max(1), 1e-300))
    for _ in range(_HALVINGS):
        after = _likelihood(counted, counts, theta + size[:, None] * move, ridge)
        worse = after < before - 1e-9 * np.abs(before)
        if not worse.any():
            break
        size = np.where(worse, size / 2, size)
    return np.asarray(theta + size[:, None] * move)


def _reference(names: tuple[str, ...], anchor: str | None) -> Float64[np.ndarray, "item item"]:
    """The matrix that takes the anchor's rating, or the mean, from every rating."""
    n = len(names)
    weight = np.full(n, 1 / n) if anchor is None else np.array([float(name == anchor) for name in names])
    return np.asarray(np.eye(n) - weight[None, :])


def _normal(level: float) -> float:
    from scipy.special import ndtri  # type: ignore[import-untyped, unused-ignore]

    check_level(level)
    return float(ndtri(0.5 + level / 2))
