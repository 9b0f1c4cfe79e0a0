"""Quality of judgements: shares by hand, flags that say why, and people whose faults were planted."""

import math
from dataclasses import replace

import numpy as np
import pytest

from preflab.data.store.judgements import Judgement
from preflab.errors import ConfigError, DataError
from preflab.feedback.protocols import protocol_named
from preflab.feedback.protocols.protocol import AnsweredQuestion
from preflab.feedback.quality import (
    AnnotatorQuality,
    Bounds,
    Judged,
    agreement_by_question,
    judged_of,
    quality_of,
)
from preflab.maths.agreement import Resampling

FEW = Resampling(draws=200)


def said(person: str, item: object, value: float | str = 1.0, **more: object) -> Judged:
    """One nominal question."""
    asked = {"preference": AnsweredQuestion(value, "nominal")}
    return Judged(annotator=person, item=str(item), questions=asked, **more)  # type: ignore[arg-type]


def person_of(judged: list[Judged], name: str = "ann", bounds: Bounds | None = None) -> AnnotatorQuality:
    found = quality_of(judged, bounds, resampling=FEW)
    return next(person for person in found.annotators if person.annotator == name)


def about(person: AnnotatorQuality) -> list[str]:
    return [flag.about for flag in person.flags]


def test_shares_of_one_person_by_hand() -> None:
    judged = [
        said("ann", 1, side=0, seconds=2.0, right=True),
        said("ann", 2, side=0, seconds=4.0, right=False),
        said("ann", 3, side=1, seconds=9.0),
        said("ann", 4, tied=True),
        said("ann", 5, status="late", side=1, seconds=0.1),
    ]
    found = person_of(judged, bounds=Bounds(fast_seconds=3.0))
    assert (found.n, found.late) == (4, 1)
    assert found.gold is not None and (found.gold.value, found.gold.n) == (0.5, 2)
    assert found.left is not None and found.left.value == pytest.approx(2 / 3)  # the late one does not count
    assert found.ties is not None and found.ties.value == pytest.approx(1 / 4)
    assert found.median_seconds == 4.0
    assert found.hasty is not None and found.hasty.value == pytest.approx(1 / 3)
    assert found.consistency is None and found.agreement is None


def test_too_little_is_said_to_be_too_little() -> None:
    found = person_of([said("ann", 1, right=False), said("ann", 2, side=0)])
    assert found.flags == ()
    assert found.unsaid == (
        "gold: 1 gold items, fewer than 10: cannot say",
        "consistency: 0 repeated items, fewer than 10: cannot say",
        "side: 1 choices between two, fewer than 20: cannot say",
        "agreement: 0 items that two others judged too, fewer than 20: cannot say",
    )


def test_a_flag_needs_an_interval_beyond_the_bound_and_says_both() -> None:
    # 12 of 20 gold items: Wilson's 99 % interval is [0.33, 0.82], which holds 0.7. 5 of 20: [0.09, 0.54].
    some = [said("ann", k, right=k < 12) for k in range(20)]
    assert person_of(some).flags == ()
    few = [said("ann", k, right=k < 5) for k in range(20)]
    (flag,) = person_of(few).flags
    assert flag.about == "gold"
    assert flag.reason == (
        "answered as expected: 0.25 [0.09, 0.54] of 20 gold items; expected 0.7 to 1 (99 % interval)"
    )


def test_repeats_are_held_against_the_first_answer() -> None:
    judged = [said("ann", k, float(k % 2)) for k in range(12)]
    judged += [said("ann", f"again {k}", float(k % 2), repeat_of=str(k)) for k in range(6)]
    judged += [said("ann", f"again {k}", 7.0, repeat_of=str(k)) for k in range(6, 12)]
    judged += [said("ann", "again of nothing", 7.0, repeat_of="gone")]
    found = person_of(judged)
    assert found.consistency is not None and (found.consistency.value, found.consistency.n) == (0.5, 12)
    other = {"preference": AnsweredQuestion(7.0, "nominal")}
    changed = [replace(one, questions=other) if one.repeat_of else one for one in judged]
    assert about(person_of(changed)) == ["consistency"]


def test_agreement_with_others_leaves_oneself_out() -> None:
    # Item 1: ann 1, bob 1, cid 0. Item 2: ann 1, bob 0, cid 0. ann agrees with 1/2 and 0/2; they with 0 and 1.
    judged = [said("ann", 1, 1.0), said("bob", 1, 1.0), said("cid", 1, 0.0)]
    judged += [said("ann", 2, 1.0), said("bob", 2, 0.0), said("cid", 2, 0.0), said("ann", 3, 1.0)]
    found = person_of(judged)
    assert found.agreement is not None and (found.agreement.value, found.agreement.n) == (0.25, 2)
    assert found.ahead is not None and found.ahead.value == pytest.approx(-0.25)  # mean of 1/2 - 0 and 0 - 1


def test_gold_items_are_no_agreement_and_repetitions_no_ties() -> None:
    """On item 1 they differ and on the gold one they agree: 0 of 1, not 1 of 2. A tie said again is one tie of two."""
    judged = [said("ann", 1, 1.0, tied=True), said("bob", 1, 0.0, side=0), said("ann", 2, 1.0, side=0)]
    judged += [said(who, "gold", 1.0, right=True) for who in ("ann", "bob")]
    judged += [said("ann", "1 again", 1.0, tied=True, repeat_of="1")]
    judged += [said("ann", "gold again", 1.0, right=False, repeat_of="gold")]
    found = person_of(judged)
    assert found.agreement is not None and (found.agreement.value, found.agreement.n) == (0.0, 1)
    assert found.ties is not None and (found.ties.value, found.ties.n) == (0.5, 2)
    assert found.gold is not None and (found.gold.value, found.gold.n) == (1.0, 1)
    assert found.n == 5


ABLE = [f"able{k}" for k in range(6)]


def crowd(seed: int = 2, items: int = 360) -> list[Judged]:
    """Eight people: six able, one who tosses a coin, and one who always takes the left. A third of it is gold."""
    rng, judged = np.random.default_rng(seed), []
    for item in range(items):
        truth, gold = int(rng.integers(2)), item % 3 == 0
        for name in (*ABLE, "coin", "lefty"):
            left = int(rng.integers(2))  # which of the two stands on the left
            picked = truth if rng.random() < 0.9 else 1 - truth
            picked = {"coin": int(rng.integers(2)), "lefty": left}.get(name, picked)
            side, right = (0 if picked == left else 1), (picked == truth if gold else None)
            more = {"side": side, "right": right, "at": item * 1000, "category": "ab"[item % 2]}
            judged.append(said(name, item, float(picked), seconds=1.0 if name == "lefty" else 30.0, **more))
    return judged


def test_planted_faults_are_found_and_able_people_are_left_alone() -> None:
    found = quality_of(crowd(), Bounds(fast_seconds=5.0), resampling=FEW)
    flags = {person.annotator: set(about(person)) for person in found.annotators}
    assert flags.pop("coin") == {"gold", "agreement"}
    assert flags.pop("lefty") == {"gold", "side", "haste", "agreement"}
    assert flags == {name: set() for name in ABLE}
    assert found.n == 2880  # flagged or not, everything is still there


def test_able_people_are_rarely_flagged_by_chance() -> None:
    flagged = 0
    for seed in range(20):
        able = [one for one in crowd(seed, items=60) if one.annotator.startswith("able")]
        flagged += sum(bool(person.flags) for person in quality_of(able, resampling=Resampling(draws=100)).annotators)
    assert flagged <= 6  # 120 people, a few tests of 1 % each


def test_agreement_of_a_study_leaves_gold_and_repeats_out_and_goes_by_category() -> None:
    judged = [one for one in crowd() if one.annotator.startswith("able")]
    judged += [said("able1", "again", 1.0, repeat_of="1", category="a")]
    found = {(one.question, one.category): one for one in agreement_by_question(judged, resampling=FEW)}
    assert set(found) == {("preference", ""), ("preference", "a"), ("preference", "b")}
    whole = found["preference", ""]
    assert whole.raw is not None and whole.alpha is not None and whole.raw.n == 240
    assert whole.raw.value == pytest.approx(0.9**2 + 0.1**2, abs=0.06)  # two who are right nine times of ten
    assert whole.alpha.value == pytest.approx(0.64, abs=0.12)  # (0.82 - 0.5) / 0.5


def test_questions_of_several_replies_are_one_question() -> None:
    judged = [
        Judged(
            annotator=name,
            item="1",
            questions={"quality 0": AnsweredQuestion(a, "ordinal"), "quality 1": AnsweredQuestion(b, "ordinal")},
        )
        for name, a, b in (("ann", 1.0, 5.0), ("bob", 2.0, 5.0))
    ]
    (found,) = agreement_by_question(judged)
    assert found.question == "quality" and found.scale == "ordinal"
    assert found.raw is not None and found.raw.value == 0.5 and (found.raw.n, found.raw.clusters) == (2, 1)
    assert math.isinf(found.raw.low)  # one item: nothing to resample


def test_why_a_number_is_missing_is_said() -> None:
    (alone,) = agreement_by_question([said("ann", 1)])
    assert alone.alpha is None and alone.raw is None and "two judgements" in alone.why_not
    (same,) = agreement_by_question([said("ann", 1), said("bob", 1)])
    assert same.raw is not None and same.alpha is None and "two different values" in same.why_not
    assert agreement_by_question([]) == []


def test_progress_counts_up_and_is_thinned() -> None:
    found = quality_of([said("ann", k, at=k) for k in (3, 1, 2)]).progress
    assert found == ((1, 1), (2, 2), (3, 3))
    long = quality_of([said("ann", k, at=k) for k in range(1000)]).progress
    assert len(long) == 200 and long[0] == (0, 1) and long[-1] == (999, 1000)
    empty = quality_of([])
    assert empty.progress == () and empty.annotators == () and empty.n == 0


def test_the_most_prolific_come_first() -> None:
    found = quality_of([said("bob", 1), said("ann", 1), said("zoe", 1), said("zoe", 2)], resampling=FEW)
    assert [person.annotator for person in found.annotators] == ["zoe", "ann", "bob"]


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(DataError, match="'ann' judged item '1' twice"):
        quality_of([said("ann", 1), said("ann", 1)])
    other = Judged(annotator="bob", item="1", questions={"preference": AnsweredQuestion(1.0, "ordinal")})
    with pytest.raises(DataError, match="one scale, but 'preference' has nominal, ordinal"):
        quality_of([said("ann", 1), other])
    with pytest.raises(ConfigError, match="levels"):
        Bounds(flag_level=1.0)
    with pytest.raises(ConfigError, match="fast_seconds"):
        Bounds(fast_seconds=-1.0)


# from the store ------------------------------------------------------------------------------------------


def stored(answer: dict[str, object], shown: list[int], **more: object) -> Judgement:
    content = {"best": 1, "category": "coding"}
    says = {"answer": answer, "content": content, "shown": shown, "purpose": "gold", "repeats": None, "seconds": 4.5}
    return Judgement(7, "study", 3, "name", 1, 0, "ann", "counted", None, 99, says | more)


@pytest.mark.parametrize(("shown", "side"), [([0, 1], 1), ([1, 0], 0)])
def test_a_stored_comparison_is_read_with_the_side_it_stood_on(shown: list[int], side: int) -> None:
    found = judged_of(stored({"ranks": [1, 0], "strength": 3}, shown), protocol_named("rank"))
    assert found is not None
    assert (found.side, found.tied, found.strength, found.right) == (side, False, 3.0, True)
    assert (found.annotator, found.item, found.seconds, found.at, found.category) == ("ann", "3", 4.5, 99, "coding")
    assert found.questions["preference"] == AnsweredQuestion(-1.0, "nominal")


def test_ties_rankings_and_turns_are_read() -> None:
    rank, chat = protocol_named("rank"), protocol_named("chat")
    tie = judged_of(stored({"ranks": [0, 0], "strength": 0}, [1, 0], repeats=2), rank)
    assert tie is not None and (tie.side, tie.tied, tie.repeat_of, tie.right) == (None, True, "2", False)
    three = judged_of(stored({"ranks": [1, 0, 2], "strength": None}, [2, 0, 1], purpose="main"), rank)
    assert three is not None and (three.side, three.tied, three.right) == (None, False, None)
    turn = judged_of(stored({"picked": 0, "strength": 2}, [1, 0], purpose="main"), chat)
    assert turn is not None and (turn.side, turn.tied) == (1, False) and not turn.questions
    unsure = judged_of(stored({"picked": 1, "strength": 0}, [1, 0], purpose="main"), chat)
    assert unsure is not None and (unsure.side, unsure.tied) == (None, True)


def test_what_is_erased_or_withdrawn_is_not_read() -> None:
    found = stored({"ranks": [1, 0], "strength": 3}, [0, 1])
    assert judged_of(replace(found, payload=None), protocol_named("rank")) is None
    assert judged_of(replace(found, status="withdrawn"), protocol_named("rank")) is None
    late = judged_of(replace(found, status="late"), protocol_named("rank"))
    assert late is not None and late.status == "late"


def test_several_turns_of_one_conversation_are_not_judging_twice() -> None:
    votes = [Judged(annotator="ann", item="1", questions={}, side=0) for _ in range(3)]
    assert person_of([*votes, said("ann", 1)]).n == 4
