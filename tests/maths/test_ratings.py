"""Ratings by hand, against choix, evalica and a general optimiser, and whether they find what was planted."""

import math

import choix
import evalica
import numpy as np
import pytest
from scipy.optimize import minimize  # type: ignore[import-untyped, unused-ignore]

from preflab.errors import ConfigError, DataError
from preflab.maths.pairwise_votes import Ties, Votes
from preflab.maths.ratings import ELO_PER_NAT, RIDGE, Model, bootstrap_ratings, fit_ratings, rate_policies, to_elo
from preflab.maths.statistics import Estimate

HALF = Model(ties="half")


def votes(counts: dict[str, int]) -> Votes:
    """``{"a>b": 3, "a=b": 2}``: three wins of a over b and two ties."""
    flat = [result for result, times in counts.items() for _ in range(times)]
    return Votes.of([r[0] for r in flat], [r[2] for r in flat], [1.0 if r[1] == ">" else 0.5 for r in flat])


def planted(seed: int, *, nu: float = 0.0, n: int = 2000, voters: int = 40, taste: float = 0.0) -> Votes:
    """Votes of people who follow Davidson's model with ratings 0, 0.4, ... 1.6; ``taste`` spreads each person's."""
    rng = np.random.default_rng(seed)
    own = 0.4 * np.arange(5) + rng.normal(0, taste, (voters, 5)) if taste else np.tile(0.4 * np.arange(5), (voters, 1))
    a = rng.integers(0, 5, n)
    b = (a + rng.integers(1, 5, n)) % 5
    who = rng.integers(0, voters, n)
    gap = own[who, a] - own[who, b]
    win, lose, tie = np.exp(gap / 2), np.exp(-gap / 2), nu
    u = rng.random(n) * (win + lose + tie)
    outcome = np.where(u < win, 1.0, np.where(u < win + lose, 0.0, 0.5))
    return Votes.of(
        [f"m{k}" for k in a],
        [f"m{k}" for k in b],
        outcome.tolist(),
        voters=who.tolist(),
        names=[f"m{k}" for k in range(5)],
    )


def test_two_items_without_ties_by_hand() -> None:
    # 3 wins of 4: the gap is ln 3, so ratings -+ ln 3 / 2. Curvature 4 * 3/4 * 1/4 = 3/4 per nat^2 of the gap.
    fit = fit_ratings(votes({"a>b": 3, "b>a": 1}))
    assert fit.nats.tolist() == pytest.approx([math.log(3) / 2, -math.log(3) / 2])
    gap = fit.difference("a", "b")
    assert gap.value == pytest.approx(math.log(3))
    assert gap.high - gap.value == pytest.approx(1.959964 * math.sqrt(4 / 3), rel=1e-6)
    assert fit.nu == 0.0 and fit.n == 4 and not fit.complaints


def test_two_items_with_ties_by_hand() -> None:
    # 4 wins, 1 loss, 4 ties: three shares and two parameters, so they fit exactly. e^gap = 4/1; nu = 4 / sqrt(4 * 1).
    fit = fit_ratings(votes({"a>b": 4, "b>a": 1, "a=b": 4}))
    gap = fit.difference("a", "b")
    assert gap.value == pytest.approx(math.log(4))
    # An exact fit's gap is ln(wins / losses), whose variance is 1/4 + 1/1 (delta method for counts).
    assert gap.high - gap.value == pytest.approx(1.959964 * math.sqrt(1.25), rel=1e-6)
    assert fit.nu == pytest.approx(2.0)
    # Half a win each: 6 of 9, so e^gap = 2.
    assert fit_ratings(votes({"a>b": 4, "b>a": 1, "a=b": 4}), HALF).difference("a", "b").value == pytest.approx(
        math.log(2)
    )


def test_a_ridge_shrinks_by_hand() -> None:
    # a beat b once. With s_a = -s_b = x the slope is sigmoid(-2x) * 2 - 2 ridge x = 0, at ridge 1: x = sigmoid(-2x).
    fit = fit_ratings(votes({"a>b": 1}), Model(ridge=1.0))
    x = float(fit.nats[0])
    assert x == pytest.approx(1 / (1 + math.exp(2 * x)), abs=1e-9) and x == pytest.approx(0.337, abs=1e-3)
    assert fit.complaints == (
        "{a} never lost to or tied with anybody else",
        "{b} never beat or tied with anybody else",
    )


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("nu", [0.0, 0.7])
def test_it_finds_the_maximum_that_a_general_optimiser_finds(ridge: float, nu: float) -> None:
    found = planted(1, nu=nu, n=200)

    def loss(theta: np.ndarray) -> float:
        gap = theta[found.first] - theta[found.second]
        log_nu = theta[5] if nu else -math.inf
        logits = np.stack([gap / 2, -gap / 2, np.full_like(gap, log_nu)])
        picked = np.where(found.outcome == 1, logits[0], np.where(found.outcome == 0, logits[1], logits[2]))
        prior = ridge / 2 * (theta[:5] ** 2).sum() + (0 if ridge else theta[:5].sum() ** 2)
        return float((np.log(np.exp(logits).sum(0)) - picked).sum() + prior + (0 if nu else theta[5] ** 2))

    best = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-6}).x
    fit = fit_ratings(found, Model(ridge=ridge))
    assert fit.nats == pytest.approx(best[:5] - best[:5].mean(), abs=1e-5)
    assert fit.nu == pytest.approx(math.exp(best[5]) if nu else 0.0, abs=1e-5)


def test_choix_and_evalica_give_the_same_ratings() -> None:
    found = planted(2)
    wins = [
        (int(a), int(b)) if y else (int(b), int(a))
        for a, b, y in zip(found.first, found.second, found.outcome, strict=True)
    ]
    fit = fit_ratings(found)
    theirs = choix.ilsr_pairwise(5, wins)
    assert fit.nats == pytest.approx(theirs - theirs.mean(), abs=1e-6)
    with_ridge = choix.opt_pairwise(5, wins, alpha=0.5, tol=1e-9)  # their penalty is alpha * s^2, ours ridge / 2
    assert fit_ratings(found, Model(ridge=1.0)).nats == pytest.approx(with_ridge - with_ridge.mean(), abs=1e-5)
    first, second = [found.names[k] for k in found.first], [found.names[k] for k in found.second]
    winner = [evalica.Winner.X if y else evalica.Winner.Y for y in found.outcome]
    scores = evalica.bradley_terry(first, second, winner, tolerance=1e-12, limit=10_000).scores
    logs = np.log([scores[name] for name in fit.names])
    assert fit.nats == pytest.approx(logs - logs.mean(), abs=1e-6)


def test_half_ties_agree_with_evalica() -> None:
    found = planted(3, nu=0.8)
    winner = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    first, second = [found.names[k] for k in found.first], [found.names[k] for k in found.second]
    scores = evalica.bradley_terry(first, second, [winner[y] for y in found.outcome], tolerance=1e-12, limit=10_000)
    logs = np.log([scores.scores[name] for name in found.names])
    assert fit_ratings(found, HALF).nats == pytest.approx(logs - logs.mean(), abs=1e-6)


def test_an_unbeaten_item_is_an_error_where_evalica_returns_the_same_number_for_everybody() -> None:
    first, second = ["a", "a", "b"], ["b", "c", "c"]
    theirs = evalica.bradley_terry(first, second, [evalica.Winner.X] * 3).scores
    assert set(theirs.round(6)) == {1e-6}  # and no word of warning
    with pytest.raises(DataError, match=r"\{a\} never lost to or tied with anybody else.*ridge"):
        fit_ratings(Votes.of(first, second, [1.0] * 3))
    fit = fit_ratings(Votes.of(first, second, [1.0] * 3), Model(ridge=0.1))
    assert fit.nats[0] > fit.nats[1] > fit.nats[2] and len(fit.complaints) == 2


def test_pools_that_nothing_connects_are_an_error() -> None:
    found = votes({"a>b": 2, "b>a": 1, "c>d": 2, "d>c": 1})
    with pytest.raises(DataError, match=r"no comparison connects \{a, b\} with \{c, d\}"):
        fit_ratings(found)
    fit = fit_ratings(found, Model(ridge=0.01))
    assert fit.complaints == ("no comparison connects {a, b} with {c, d}",)
    across, within = fit.difference("a", "c"), fit.difference("a", "b")
    assert across.high - across.low > 5 * (within.high - within.low)  # the prior alone speaks


def test_an_item_without_a_vote_needs_a_ridge() -> None:
    found = Votes.of(["a", "b"], ["b", "a"], [1.0, 1.0], names=["a", "b", "new"])
    with pytest.raises(DataError, match=r"connects \{a, b\} with \{new\}"):
        fit_ratings(found)
    assert fit_ratings(found, Model(ridge=1.0)).nats[2] == pytest.approx(0.0)


def test_ties_that_run_away_and_ties_alone_are_errors() -> None:
    with pytest.raises(DataError, match="more wins than ties"):
        fit_ratings(votes({"a>b": 3, "a=b": 2}))
    assert fit_ratings(votes({"a>b": 3, "a=b": 2}), Model(ridge=0.1)).nu > 0
    with pytest.raises(DataError, match="every vote is a tie"):
        fit_ratings(votes({"a=b": 3}))
    assert fit_ratings(votes({"a=b": 3}), HALF).nats.tolist() == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize("ties", ["davidson", "half"])
def test_order_sides_and_names_do_not_matter(ties: Ties) -> None:
    found, model = planted(4, nu=0.6, n=300), Model(ties=ties)
    fit = fit_ratings(found, model)
    order = np.random.default_rng(0).permutation(len(found))
    first, second = [found.names[k] for k in found.first[order]], [found.names[k] for k in found.second[order]]
    swapped = fit_ratings(Votes.of(second, first, (1 - found.outcome[order]).tolist()), model)
    assert {n: e.value for n, e in swapped.estimates().items()} == pytest.approx(
        {n: e.value for n, e in fit.estimates().items()}
    )
    assert swapped.nu == pytest.approx(fit.nu)
    # Everybody votes the other way round: ratings change sign.
    turned = fit_ratings(Votes.of(second, first, found.outcome[order].tolist(), names=found.names), model)
    assert turned.nats == pytest.approx(-fit.nats)


def test_a_weight_is_a_repetition() -> None:
    once = Votes.of(["a", "b", "a"], ["b", "a", "b"], [1.0, 1.0, 0.5], weights=[3, 2, 1])
    fit, flat = fit_ratings(once), fit_ratings(votes({"a>b": 3, "b>a": 2, "a=b": 1}))
    assert fit.nats == pytest.approx(flat.nats) and fit.covariance == pytest.approx(flat.covariance)


def test_an_anchor_moves_ratings_and_no_difference() -> None:
    found = planted(5, n=400)
    free, held = fit_ratings(found), fit_ratings(found, Model(anchor="m2"))
    assert held.nats[2] == 0.0 and held.covariance[2, 2] == pytest.approx(0.0, abs=1e-12)
    assert held.nats == pytest.approx(free.nats - free.nats[2])
    one, other = free.difference("m4", "m0"), held.difference("m4", "m0")
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert held.estimates()["m4"].value == pytest.approx(held.difference("m4", "m2").value)
    assert bootstrap_ratings(found, Model(anchor="m2"), draws=100)["m2"].high == 0.0
    with pytest.raises(DataError, match="anchor must be one of"):
        fit_ratings(found, Model(anchor="m9"))
    with pytest.raises(DataError, match="'m9' was not rated"):
        free.difference("m9", "m0")


def test_planted_ratings_lie_within_their_error_bars() -> None:
    """papers/06, claim 8, on the Elo scale: 95 % intervals of differences hold the truth in about 95 % of studies."""
    held, bootstrapped = 0, 0
    for seed in range(50):
        found = planted(seed, nu=0.5, n=600)
        fit = fit_ratings(found)
        held += sum(not fit.difference(f"m{k}", "m0").excludes(0.4 * k) for k in range(1, 5))
        rated = bootstrap_ratings(found, Model(anchor="m0"), draws=100, seed=seed)
        elo = [to_elo(rated[f"m{k}"]) for k in range(1, 5)]
        bootstrapped += sum(not e.excludes(ELO_PER_NAT * 0.4 * k) for k, e in enumerate(elo, 1))
    assert 0.90 <= held / 200 <= 0.99
    assert 0.87 <= bootstrapped / 200 <= 0.99


def test_where_people_differ_in_taste_only_the_bootstrap_by_voter_is_wide_enough() -> None:
    found = planted(7, voters=25, n=5000, taste=0.6)
    curvature, clustered = fit_ratings(found).estimates()["m4"], bootstrap_ratings(found, draws=300)["m4"]
    assert clustered.clusters == 25 and clustered.value == curvature.value
    assert clustered.high - clustered.low > 1.5 * (curvature.high - curvature.low)


def test_independent_votes_give_the_same_interval_either_way() -> None:
    base = planted(8, nu=0.5)
    first, second = [base.names[k] for k in base.first], [base.names[k] for k in base.second]
    found = Votes.of(first, second, base.outcome.tolist())
    drawn, curved = bootstrap_ratings(found, draws=500), fit_ratings(found).estimates()
    for name, estimate in drawn.items():
        assert estimate.high - estimate.low == pytest.approx(curved[name].high - curved[name].low, rel=0.15)


def test_resamples_that_fix_no_ratings_leave_the_interval_open() -> None:
    # One voter of four ever preferred b: (3/4)^4 = 32 % of resamples lack that vote.
    found = Votes.of(["a"] * 8, ["b"] * 8, [1, 1, 1, 1, 1, 1, 1, 0], voters=[0, 0, 1, 1, 2, 2, 3, 3])
    assert math.isinf(bootstrap_ratings(found, draws=200)["a"].high)
    assert math.isfinite(bootstrap_ratings(found, Model(ridge=0.5), draws=200)["a"].high)
    single = Votes.of(["a", "a"], ["b", "b"], [1, 0], voters=["ann", "ann"])
    assert math.isinf(bootstrap_ratings(single, draws=100)["a"].low)


def test_the_same_seed_gives_the_same_intervals() -> None:
    found = planted(9, n=200)
    assert bootstrap_ratings(found, draws=100, seed=3) == bootstrap_ratings(found, draws=100, seed=3)
    assert bootstrap_ratings(found, draws=100, seed=3) != bootstrap_ratings(found, draws=100, seed=4)


def test_lopsided_votes_are_solved_without_overshooting() -> None:
    fit = fit_ratings(Votes.of(["a", "b", "b", "c"], ["b", "a", "c", "b"], [1.0] * 4, weights=[1e6, 1, 1e6, 1]))
    assert fit.difference("a", "b").value == pytest.approx(math.log(1e6))
    assert fit.difference("a", "c").value == pytest.approx(2 * math.log(1e6))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="ridge must be 0 or above"):
        Model(ridge=-1.0)
    with pytest.raises(ConfigError, match="level"):
        bootstrap_ratings(votes({"a>b": 1, "b>a": 1}), level=2.0)
    with pytest.raises(ConfigError, match="draws"):
        bootstrap_ratings(votes({"a>b": 1, "b>a": 1}), draws=10)


# ratings of policies -------------------------------------------------------------------------------------


def test_policies_are_rated_by_maximum_likelihood_where_votes_fix_that() -> None:
    """3 wins to 1 are ln 3 nats, ties or none: Davidson's ties leave the odds of winning as they are."""
    for cast in ({"a>b": 3, "b>a": 1}, {"a>b": 3, "b>a": 1, "a=b": 2}):
        rated = rate_policies(votes(cast), anchor="b")
        assert (rated.ridge, rated.complaints) == (0.0, ())
        assert rated.nats["a"].value == pytest.approx(math.log(3))
        assert rated.nats["b"].value == 0.0


def test_an_unbeaten_policy_is_rated_with_the_ridge_and_that_is_said() -> None:
    rated = rate_policies(votes({"a>b": 3}))
    assert rated.ridge == RIDGE and rated.complaints[0].startswith("{a} never lost")
    assert rated.nats == fit_ratings(votes({"a>b": 3}), Model(ridge=RIDGE)).estimates()


def test_ties_alone_and_shares_count_half() -> None:
    """Davidson has no place for either: equals at 0, and a share of 3/4 is three wins of four."""
    even = rate_policies(votes({"a=b": 3}))
    assert even.ridge == 0 and even.nats["a"].value == pytest.approx(0.0)
    shared = rate_policies(Votes.of(["a", "a"], ["b", "b"], [0.75, 0.75]))
    assert shared.nats["a"].value == pytest.approx(math.log(3) / 2)


def test_five_voters_are_resampled_and_four_are_not() -> None:
    for voters in (4, 5):
        cast = Votes.of(
            ["a"] * 20, ["b"] * 20, [float(k % 3 > 0) for k in range(20)], voters=[k % voters for k in range(20)]
        )
        rated = rate_policies(cast)
        assert rated.resampled == (voters == 5)
        expected = bootstrap_ratings(cast) if rated.resampled else fit_ratings(cast).estimates()
        assert rated.nats == expected


def test_a_nat_is_174_elo_and_400_elo_are_ten_to_one() -> None:
    assert round(ELO_PER_NAT) == 174
    assert to_elo(Estimate(math.log(10), 0.0, math.inf, 9, 3), at=1000) == Estimate(1400.0, 1000.0, math.inf, 9, 3)
