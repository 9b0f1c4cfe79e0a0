"""Duels of replies: verdicts worked out by hand, judges that are fair, biased, undecided, mute."""

import math
from functools import partial
from typing import Any

import pytest

from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.evals.core.items import Item
from preflab.evals.core.runner import run_items
from preflab.evals.core.suite import Variant
from preflab.evals.metrics.pairwise_battles import (
    NON_EVASIVE,
    Battle,
    combine_orders,
    judge_plan,
    pm_plan,
    standings,
)
from preflab.rollouts.requests.types import OptionLogprobs
from tests.evals.suites.speakers import Chooser, Rater, Speaker

sampled_judge = partial(judge_plan, by_generation=True)
DUEL = Battle(Dialogue.of("How?"), "good words", "bad")


def outcome(plan: Any, whom: str, who: Any, duel: Battle = DUEL) -> Any:
    way = Variant(name="w", summary="", plan=lambda item: plan(item.data), roles=frozenset({whom}))  # type: ignore[arg-type]
    (told,) = run_items(way, [Item(id="i", group="i", data=duel)], {whom: who})  # type: ignore[dict-item]
    return told.outcome or told.failed


def shown(ask: Any) -> tuple[str, str]:
    text = ask.prompt.messages[0].text
    first, second = text.split("\n\n(A) ")[1].split("\n\n(B) ")
    return first, second.split("\n\n")[0]


def likes(word: str, p: float = 0.9) -> Chooser:
    def logprobs(ask: OptionLogprobs) -> list[float]:
        first = p if shown(ask)[0].startswith(word) else 1 - p
        return [math.log(first), math.log(1 - first)]

    return Chooser(logprobs)


def test_a_preference_model() -> None:
    own = outcome(pm_plan, "pm", Rater(lambda prompt, reply: float(len(reply))))
    assert own["win"] == 1 and own["gap"] == 7 and own["p"] == pytest.approx(1 / (1 + math.exp(-7)))
    assert outcome(pm_plan, "pm", Rater(lambda prompt, reply: 2.0))["win"] == 0.5


def test_a_fair_judge_and_one_that_takes_the_first() -> None:
    own = outcome(judge_plan, "judge", likes("good"))
    assert (own["win"], own["inconsistent"]) == (1, 0)
    assert own["p"] == pytest.approx(0.9) and own["favours first"] == pytest.approx(0.5)
    assert outcome(judge_plan, "judge", likes("bad"))["win"] == 0
    first = outcome(judge_plan, "judge", Chooser(lambda ask: [math.log(0.8), math.log(0.2)]))
    assert (first["win"], first["inconsistent"]) == (0.5, 1)
    assert first["favours first"] == pytest.approx(0.8) and first["p"] == pytest.approx(0.5)


def test_a_judge_that_writes() -> None:
    own = outcome(sampled_judge, "judge", Speaker(lambda ask: "A" if shown(ask)[0] == "bad" else "(B)"))
    assert (own["win"], own["inconsistent"]) == (0, 0)
    assert outcome(sampled_judge, "judge", Speaker(lambda ask: "B"))["inconsistent"] == 1


def test_a_judge_that_answers_neither_gives_no_tie() -> None:
    assert outcome(judge_plan, "judge", Chooser(lambda ask: [-20.0, -20.0])) == "the judge answers neither"
    assert outcome(sampled_judge, "judge", Speaker(lambda ask: "Both are fine")) == "the judge answers neither"
    assert outcome(sampled_judge, "judge", Speaker(lambda ask: " ")) == "the model said nothing"


def test_equal_replies_are_not_asked_about() -> None:
    same = Battle(Dialogue.of("How?"), "so ", "so")
    for plan, whom in ((pm_plan, "pm"), (judge_plan, "judge"), (sampled_judge, "judge")):
        own = outcome(plan, whom, Speaker(lambda ask: "A"), same)
        assert own["win"] == 0.5 and own["equal"] == 1


def test_undecided_in_one_order_is_even_but_not_inconsistent() -> None:
    own = combine_orders(DUEL, 0.5, 0.9)
    assert (own["win"], own["inconsistent"]) == (0.5, 0)


def test_the_instruction_is_in_the_question() -> None:
    heard: list[str] = []

    def says(ask: Any) -> str:
        heard.append(ask.prompt.messages[0].text)
        return "A"

    outcome(lambda duel: sampled_judge(duel, NON_EVASIVE), "judge", Speaker(says))
    assert all("evasive" in text and "How?" in text for text in heard) and len(heard) == 2


def test_ratings_of_three_policies() -> None:
    """Replies "3", "2", "1" ... : the larger number wins; "c" has one item that nobody else has."""
    prompt = Dialogue.of("Say a number.")
    replies = {
        name: {f"q{k}": (prompt, str(level + (k % 4 == 0) * 5 * (name == "a"))) for k in range(40)}
        for name, level in (("a", 1), ("b", 2), ("c", 3))
    }
    replies["c"]["alone"] = (prompt, "9")
    found = standings(replies, pm_plan, {"pm": Rater(lambda _, reply: float(reply))}, roles=frozenset({"pm"}))
    assert found.battles == 120 and found.failed == {} and found.inconsistent == 0
    assert found.ridge == 0  # "a" wins every fourth battle: nobody is unbeaten
    assert found.wins[("a", "b")] == 0.25 and found.wins[("b", "c")] == 0
    assert found.elo["c"].value > found.elo["b"].value > found.elo["a"].value
    assert sum(own.value for own in found.elo.values()) == pytest.approx(0, abs=1e-6)
    assert all(own.low < own.value < own.high for own in found.elo.values())


def test_duels_that_fix_the_ratings_need_no_ridge() -> None:
    """30 of 40 are odds of 3: ln 3 nats, 190.8 Elo, half to each side. A ridge of 0.1 would take 1 % of it."""
    prompt = Dialogue.of("Say a number.")
    replies = {
        "a": {f"q{k}": (prompt, "2") for k in range(40)},
        "b": {f"q{k}": (prompt, "3" if k % 4 == 0 else "1") for k in range(40)},
    }
    found = standings(replies, pm_plan, {"pm": Rater(lambda _, reply: float(reply))}, roles=frozenset({"pm"}))
    assert found.ridge == 0
    assert found.elo["a"].value == pytest.approx(200 * math.log10(3), abs=1e-6)


def test_duels_without_a_verdict_are_no_votes() -> None:
    prompt = Dialogue.of("?")
    replies = {"a": {"x": (prompt, "one"), "y": (prompt, "mute")}, "b": {"x": (prompt, "two"), "y": (prompt, "three")}}
    judge = Speaker(lambda ask: "hm" if "mute" in shown(ask) else "A" if shown(ask)[0] == "one" else "B")
    found = standings(replies, sampled_judge, {"judge": judge})
    assert found.battles == 1 and found.failed == {"the judge answers neither": 1} and found.wins[("a", "b")] == 1
    assert found.ridge == 0.1  # "b" never won
    with pytest.raises(DataError, match="no battle has a verdict"):
        standings(replies, sampled_judge, {"judge": Speaker(lambda ask: "hm")})
    with pytest.raises(DataError, match="at least two"):
        standings({"a": replies["a"]}, sampled_judge, {"judge": judge})
