"""What a suite found, as Inspect's fields; everything from hand-written lines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from preflab.bridges.inspect_samples import log_of, number_columns, results_of, sample_of, shown_question, shown_target
from preflab.data.dialogue import Dialogue
from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item
from preflab.evals.core.runner import ItemResult
from preflab.evals.core.suite import Outcome
from preflab.evals.suites import SUITES
from preflab.rollouts.requests.types import (
    Failure,
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    RewardScores,
    ScoreReplies,
)

QUESTION = Dialogue.of("which?")


def line(
    *rounds: tuple[Sequence[Request], Sequence[Response]], outcome: Outcome | None = None, failed: str | None = None
) -> dict[str, Any]:
    item = Item(id="q1", group="g", data=None)
    return ItemResult(item, list(rounds), outcome, failed).to_json()


def chosen(outcome: Outcome | None = None) -> dict[str, Any]:
    ask = OptionLogprobs(prompt=QUESTION, options=(" A", " B"), lead="It is")
    return line(([ask], [OptionScores((-2.0, -0.5), (1, 1))]), outcome=outcome or {"correct": 1.0, "chosen": "B"})


def test_likeliest_option_stands_behind_the_lead_and_log_probabilities_beside_it() -> None:
    found = sample_of(chosen(), model="preflab/tiny")
    assert found["input"] == [{"role": "user", "content": "which?"}]
    assert [m["content"] for m in found["messages"]] == ["which?", "It is B"]
    assert found["messages"][1]["metadata"]["logprobs"] == (-2.0, -0.5)
    assert found["choices"] == ["A", "B"]
    assert found["output"]["choices"][0]["message"]["content"] == "It is B"
    assert found["scores"] == {"correct": {"value": 1.0}, "chosen": {"value": "B"}}
    assert "unscorable" not in found["metadata"] and found["metadata"]["outcome"] == {"correct": 1.0, "chosen": "B"}


def test_a_second_round_goes_on_from_the_first_and_does_not_repeat_it() -> None:
    again = QUESTION.with_reply("I think so").messages
    second = Dialogue((*again, *Dialogue.of("so which?").messages))
    found = sample_of(
        line(
            ([Generate(prompt=QUESTION)], [Generation("I think so", 3)]),
            ([OptionLogprobs(prompt=second, options=("A", "B"))], [OptionScores((-0.1, -3.0), (1, 1))]),
            outcome={"correct": 0.0},
        ),
        model="m",
    )
    assert [m["content"] for m in found["messages"]] == ["which?", "I think so", "so which?", "A"]


def test_a_judge_that_did_not_answer_is_an_error_of_the_judge_and_no_zero() -> None:
    judged = Generate(prompt=Dialogue.of("is it good?"), role="judge")
    own = line(
        ([Generate(prompt=QUESTION)], [Generation("yes")]),
        ([judged], [Failure("the server refused the prompt")]),
        failed="the server refused the prompt",
    )
    found = sample_of(own, model="m", columns=["correct"])
    score = found["scores"]["correct"]
    assert math.isnan(score["value"]) and score["reason"] == "grader_failed"
    assert found["metadata"]["judge_error"] == found["metadata"]["unscorable"] == "the server refused the prompt"
    assert found["output"]["choices"][0]["message"]["content"] == "yes", "what the policy said, not what the judge did"


def test_a_policy_that_said_nothing_has_its_own_reason() -> None:
    own = line(([Generate(prompt="go on")], [Generation("", 0, False)]), failed="the model said nothing")
    found = sample_of(own, model="m")
    assert found["input"] == "go on"
    assert found["scores"]["scored"]["reason"] == "the model said nothing"
    assert found["output"]["choices"][0]["stop_reason"] == "max_tokens"
    assert "judge_error" not in found["metadata"]


def test_an_item_that_could_not_even_be_asked_is_there_all_the_same() -> None:
    found = sample_of(line(failed="too few examples"), model="m")
    assert found["messages"] == [] and found["input"] == "" and found["metadata"]["unscorable"] == "too few examples"


def test_ratings_show_the_reply_that_scored_highest() -> None:
    ask = ScoreReplies(prompt=QUESTION, replies=("bad", "good"))
    found = sample_of(line(([ask], [RewardScores((-1.0, 2.0))]), outcome={"right": 1.0}), model="m")
    assert found["messages"][-1]["content"] == "good" and found["messages"][-1]["metadata"]["whom"] == "pm"
    assert found["metadata"]["judged"] == ["good"]


def test_what_is_no_line_is_refused() -> None:
    for bad in ({}, {"id": "x", "group": "g", "rounds": [[{"ask": {}}]]}):
        with pytest.raises(DataError, match="no line of an evaluation"):
            sample_of(bad, model="m")


def test_measures_become_metrics_and_undefined_ones_are_named() -> None:
    whole = {"value": 0.25, "low": 0.1, "high": 0.4, "n": 8, "clusters": 4, "level": 0.95}
    own: dict[str, Any] = {"name": "accuracy", "unit": "share", "better": "higher", "how": "", "estimate": whole}
    found = results_of(
        {
            "items": 10,
            "scored": 8,
            "failed": {"the model said nothing": 2},
            "measures": [
                own | {"column": "", "value": ""},
                own | {"column": "subject", "value": "law"},
                own | {"name": "bias", "estimate": None},
            ],
        }
    )
    (score,) = found["scores"]
    assert (score["scored_samples"], score["unscored_samples"]) == (8, 2)
    assert list(score["metrics"]) == ["accuracy", "accuracy[subject=law]"]
    assert score["metrics"]["accuracy"]["value"] == 0.25 and score["metrics"]["accuracy"]["metadata"]["high"] == 0.4
    assert found["metadata"] == {"failed": {"the model said nothing": 2}, "undefined": ["bias"]}


def test_a_log_holds_every_item_and_is_the_same_when_written_again() -> None:
    lines = [chosen(), line(failed="too few examples") | {"id": "q2"}]
    assert number_columns(lines) == ["correct"]
    found = {"suite": "mmlu", "way": "chat", "scored": 1, "measures": []}
    logs = [
        log_of(lines, found, model="preflab/tiny", created="2026-01-02T03:04:05+00:00", packages={"preflab": "1"})
        for _ in range(2)
    ]
    assert logs[0]["eval"] == logs[1]["eval"] and logs[0]["eval"]["task"] == "preflab/mmlu"
    assert [s["id"] for s in logs[0]["samples"]] == ["q1", "q2"] == logs[0]["eval"]["dataset"]["sample_ids"]
    assert math.isnan(logs[0]["samples"][1]["scores"]["correct"]["value"])


@dataclass(frozen=True)
class Asked:
    """Data of an item, as suites have them."""

    answer: object = None
    options: tuple[str, ...] = ()
    yes: bool | None = None


def test_a_live_sample_shows_the_question_and_the_right_answer() -> None:
    suite = SUITES["starter"]
    items = suite.load(DataSource()).items
    questions = [shown_question(suite.variants[0], item) for item in items[:5]]
    assert all(question and question != item.id for question, item in zip(questions, items, strict=False))

    def target(data: Asked) -> str:
        return shown_target(Item(id="7", group="7", data=data))

    assert target(Asked(answer=1, options=("red", "blue"))) == "blue"
    assert target(Asked(answer="29")) == "29"
    assert (target(Asked(yes=True)), target(Asked(yes=False))) == ("yes", "no")
    assert target(Asked()) == target(Asked(answer=5, options=("red",))) == ""
