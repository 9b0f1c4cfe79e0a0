"""Rates of broken rules, and people's answers with and without help, against values worked out by hand."""

from typing import Any

import pytest

from preflab.data.store.judgements import Judgement
from preflab.feedback.study_results import (
    FlagRate,
    both_bad_rate,
    calibration_error,
    flag_rates,
    question_outcomes,
    rule_rates,
    team_vote,
)
from preflab.maths.statistics import wilson


def judgement(person: str, item: str, answer: dict[str, Any], content: dict[str, Any], **more: Any) -> Judgement:
    says = {"purpose": "main", "repeats": None, "answer": answer, "content": content, **more}
    return Judgement(1, "s", 1, item, 1, 0, person, "counted", None, 0, says)


def test_a_level_that_is_rare_weighs_as_much_as_one_that_is_common() -> None:
    assert calibration_error([(42, True)] * 39 + [(42, False)] * 61) == pytest.approx(3.0)  # the source's example
    # 100: 9 of 10 right is 10 off; 25: 0 of 1 is 25 off; mean 17.5, however many there are
    assert calibration_error([(100, True)] * 9 + [(100, False), (25, False)]) == pytest.approx(17.5)
    assert calibration_error([]) is None


def test_the_vote_is_a_product_of_probabilities() -> None:
    """B at 60 gives [.133, .6, .133, .133]; C at 42 twice gives C .42^2 and B .1933^2."""
    best, share = team_vote([(1, 60), (2, 42), (2, 42)], 4)
    b, c, rest = 0.6 * (0.58 / 3) ** 2, (0.4 / 3) * 0.42**2, (0.4 / 3) * (0.58 / 3) ** 2
    assert best == 2 and c > b
    assert share == pytest.approx(c / (b + c + 2 * rest))
    assert team_vote([(3, 25), (1, 42)], 4)[0] == 1  # a guess has no influence
    assert team_vote([(0, 25), (3, 25)], 4) == (0, pytest.approx(0.25))  # equal: the first
    assert team_vote([(0, 100), (1, 42), (1, 42)], 4)[0] == 0  # 99 outvotes two at 42


def test_conditions_are_kept_apart_and_the_unanswered_are_wrong() -> None:
    content = {"options": ["a", "b"], "answer": 1}

    def answered(person: str, item: str, choice: int | None, confidence: int | None, assisted: bool) -> Judgement:
        answer = {"choice": choice, "confidence": confidence, "correct": choice == 1, "timed_out": choice is None}
        talk = [{}, {}] if assisted else []
        return judgement(person, item, answer | {"assisted": assisted}, content, conversation=talk)

    rows = [answered(who, f"q{n}", 1, 80, True) for who in ("p", "q") for n in range(2)]
    rows += [answered("p", "q2", 0, 60, False), answered("q", "q2", None, None, False)]
    helped, alone = question_outcomes(rows)
    assert (helped.accuracy.value, helped.confidence, helped.calibration_error, helped.turns) == (1.0, 80.0, 20.0, 2.0)
    assert (alone.accuracy.value, alone.confidence, alone.timed_out, alone.turns) == (0.0, 60.0, 1, 0.0)
    assert helped.team is not None and (helped.team.value, helped.team.n) == (1.0, 2)
    assert alone.team is not None and (alone.team.value, alone.team.n) == (0.0, 1)


def test_a_question_that_comes_again_counts_once() -> None:
    """p is right on q1 and wrong on q2, and says the same of q2 when it comes again: 1 of 2, not 1 of 3.

    Of q2 p votes 0 at 60 and q votes 1 at 80: the team is right. The repetition would be an item of its own that the
    team gets wrong, and make 2 of 3 of that.
    """
    content = {"options": ["a", "b"], "answer": 1}

    def answered(person: str, item: str, choice: int, confidence: int, **more: Any) -> Judgement:
        answer = {"choice": choice, "confidence": confidence, "correct": choice == 1, "timed_out": False}
        return judgement(person, item, answer | {"assisted": False}, content, **more)

    first = [answered("p", "q1", 1, 80), answered("p", "q2", 0, 60)]
    again = [answered("p", "q2 (again)", 0, 60, repeats=2)]
    checks = [answered("p", "g", 0, 100, purpose="gold"), answered("p", "t", 0, 100, purpose="practice")]
    (alone,) = question_outcomes(first + again + checks)
    assert (alone.accuracy.value, alone.accuracy.n, alone.confidence) == (0.5, 2, 70.0)
    assert alone.calibration_error == pytest.approx((20 + 60) / 2)  # all right at 80, none at 60
    (both,) = question_outcomes([*first, answered("q", "q2", 1, 80), *again])
    assert both.team is not None and (both.team.value, both.team.n) == (1.0, 2)


def test_a_rule_judged_once_in_each_dialogue_has_wilsons_interval() -> None:
    """2 of 4: 1/2 in the middle, z = 1.96; reach 1.96 sqrt(1/16 + 1.96^2/64) / (1 + 1.96^2/4) = 0.350."""
    rows = [judged_in(f"d{k}", "p", 1 if k < 2 else 5) for k in range(4)]
    (rate,) = rule_rates(rows)
    assert rate.broken is not None and rate.broken.value == 0.5
    assert (rate.broken.low, rate.broken.high) == pytest.approx((0.150, 0.850), abs=5e-4)


def test_judgements_of_one_dialogue_are_resampled_together() -> None:
    """Three people who agree on each of four dialogues are four trials, not twelve, which would be [0.254, 0.746].

    A resample of the dialogues breaks k of 4 with chance 1/16, 4/16, ...: both ends are beyond 2.5 %, so 0 and 1.
    """
    rows = [judged_in(f"d{k}", who, 1 if k < 2 else 5) for k in range(4) for who in ("p", "q", "r")]
    (rate,) = rule_rates(rows)
    assert rate.broken is not None
    assert (rate.broken.value, rate.broken.n, rate.broken.clusters) == (0.5, 12, 4)
    assert (rate.broken.low, rate.broken.high) == (0.0, 1.0)


def test_a_rule_that_all_dialogues_keep_has_as_many_trials_as_dialogues() -> None:
    """0 of 2 trials: at most z^2 / (2 + z^2) = 0.658; of 4 it would be 0.490."""
    (rate,) = rule_rates([judged_in(dialogue, who, 5) for dialogue in ("d", "e") for who in ("p", "q")])
    assert rate.broken is not None and rate.broken.high == pytest.approx(0.658, abs=5e-4)


def test_a_probe_is_a_dialogue_of_each_person() -> None:
    rows = [judgement(who, "probe", {"rating": 1 if who == "p" else 5}, {"rule": "a"}) for who in "pqrs"]
    (rate,) = rule_rates(rows)
    assert rate.broken is not None and rate.broken.clusters is None and rate.broken.low > 0


def judged_in(dialogue: str, person: str, rating: int) -> Judgement:
    content = {"rule": "a", "messages": [{"role": "user", "content": dialogue}]}
    return judgement(person, f"{dialogue} a", {"rating": rating}, content)


def test_cannot_say_is_no_part_of_the_rate() -> None:
    def rated(rule: str, rating: int) -> Judgement:
        return judgement("p", f"{rule}{rating}", {"rating": rating}, {"rule": rule})

    often, never, unknown = rule_rates([rated("a", 5), rated("b", 1), rated("b", 3), rated("b", 4), rated("c", 3)])
    assert (often.rule, often.unsure) == ("b", 1) and often.broken is not None and often.broken.value == 0.5
    assert never.broken is not None and never.broken.value == 0.0
    assert unknown.broken is None and unknown.unsure == 1


def test_flags_are_counted_by_policy_over_items_of_the_study_itself() -> None:
    """Two people on q1, one on q2: of x's three replies two are flagged, of y's none; q1 counts as one item."""
    flagged, clean = {"flags": [["made_up"], []]}, {"flags": [[], []]}
    content = {"policies": ["x", "y"]}
    judged = [judgement("p", "q1", flagged, content), judgement("q", "q1", flagged, content)]
    judged += [judgement("p", "q2", clean, content)]
    checks = [
        judgement("p", "g", flagged, content, purpose="gold"),
        judgement("p", "again", flagged, content, repeats=1),
    ]
    x, y = flag_rates(judged + checks, ["made_up"])
    assert (x.flag, x.policy, x.ticked.value, x.ticked.n, x.ticked.clusters) == ("made_up", "x", 2 / 3, 3, 2)
    assert (y.policy, y.ticked.value, y.ticked.low) == ("y", 0.0, 0.0) and y.ticked.high == wilson(0, 2).high
    assert flag_rates([judgement("p", "q", {"ranks": [0, 1]}, content)], ["made_up"]) == []
    (single,) = flag_rates(judged[:1], ["sexual"])[:1]
    assert single == FlagRate("sexual", "x", wilson(0, 1))


def test_votes_that_call_both_replies_bad() -> None:
    bad, good, end = {"both_bad": True}, {"both_bad": False}, {"finish": True}
    judged = [judgement("p", "t1", bad, {}), judgement("q", "t1", good, {}), judgement("p", "t2", good, {})]
    rate = both_bad_rate([*judged, judgement("p", "t2", end, {}), judgement("p", "t3", good, {})])
    assert rate == wilson(1, 4)  # each vote a conversation of its own
    talk = both_bad_rate([*judged, judgement("p", "t1", bad, {})])
    assert talk is not None and (talk.value, talk.clusters) == (0.5, 3)
    assert both_bad_rate([judgement("p", "t2", end, {})]) is None
