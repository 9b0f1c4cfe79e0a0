"""The runner: rounds, failures, kept answers, kills, samples of items, and what measures make of it all."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preflab.bridges.inspect_samples import sample_of
from preflab.data.dialogue import Dialogue
from preflab.errors import ConfigError, ContractError, DataError
from preflab.evals.core.items import Item
from preflab.evals.core.runner import (
    ItemResult,
    measure_results,
    read_items,
    run_items,
    select_items,
    summary,
    write_items,
)
from preflab.evals.core.suite import Measure, Plan, Suite, Variant, columns_of
from preflab.rollouts.requests.response_cache import ResponseCache
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
    UnreadableResponse,
)
from tests.evals.synthetic import Scripted, choosing, saying


def item(name: str, group: str = "", data: Any = 0) -> Item:
    return Item(id=name, group=group or name, data=data)


def one_round(own: Item) -> Plan:
    (found,) = yield [OptionLogprobs(prompt=f"item {own.id}", options=("a", "b"))]
    return {"correct": float(found.best == own.data), "category": own.group}


def two_rounds(own: Item) -> Plan:
    (thought,) = yield [Generate(prompt=Dialogue.of(f"think about {own.id}"))]
    first, second = yield [
        OptionLogprobs(prompt=thought.require_text(), options=("a", "b")),
        OptionLogprobs(prompt=thought.require_text(), options=("b", "a"), role="judge"),
    ]
    if first.best == second.best:
        raise UnreadableResponse("the two orders disagree")
    return {"correct": float(first.best == 0)}


def way(plan: Callable[[Item], Plan], **more: Any) -> Variant:
    return Variant(name="w", summary="", plan=plan, **more)


ITEMS = [item("one", "x", 0), item("two", "x", 1), item("three", "y", 0)]


def test_one_round_asks_each_item_once() -> None:
    policy, done = Scripted(choosing(lambda ask: 0)), []
    told = run_items(way(one_round), ITEMS, {"policy": policy}, advance=lambda n: done.append(n))
    assert [own.outcome["correct"] for own in told if own.outcome] == [1.0, 0.0, 1.0]
    assert len(policy.asked) == 3
    assert sum(done) == 3


def both(ask: Request) -> Response:
    return saying(lambda own: "some thought")(ask) if isinstance(ask, Generate) else choosing(lambda own: 0)(ask)


def test_later_rounds_depend_on_earlier_answers_and_go_to_whom_they_name() -> None:
    policy = Scripted(both, name="policy")
    judge = Scripted(choosing(lambda own: 1), name="judge")
    panel = {"policy": policy, "judge": judge}
    told = run_items(way(two_rounds, roles=frozenset({"policy", "judge"})), ITEMS, panel)
    assert [own.outcome for own in told] == [{"correct": 1.0}] * 3
    assert [len(own.rounds) for own in told] == [2, 2, 2]
    assert {ask.role for ask in judge.asked} == {"judge"}
    assert len(judge.asked) == 1, "three items had the same thought, so one question was asked once"


def test_an_unreadable_answer_is_no_tie_and_not_right() -> None:
    judge = Scripted(choosing(lambda own: 0), name="judge")
    panel = {"policy": Scripted(both), "judge": judge}
    told = run_items(way(two_rounds, roles=frozenset({"policy", "judge"})), ITEMS, panel)
    assert [own.outcome for own in told] == [None] * 3
    assert {own.failed for own in told} == {"the two orders disagree"}


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (lambda ask: Generation("  "), "the model said nothing"),
        (lambda ask: Failure("the prompt is too long for the model"), "the prompt is too long for the model"),
    ],
)
def test_who_says_nothing_is_counted(say: Callable[[Request], Response], reason: str) -> None:
    panel = {"policy": Scripted(say), "judge": Scripted(choosing(lambda own: 0))}
    suite = Suite(
        name="s", title="S", summary="", source="", load=lambda shelf: None, variants=(way(two_rounds),),  # type: ignore[arg-type,return-value]
        measures=(Measure(name="accuracy", statistic="correct"),),
    )  # fmt: skip
    told = run_items(way(two_rounds, roles=frozenset({"policy", "judge"})), ITEMS, panel)
    found = summary(suite, suite.variants[0], told)
    assert found.failed == {reason: 3}
    assert (found.items, found.scored, found.measures) == (3, 0, ())


def test_a_plan_may_live_with_a_failure() -> None:
    def careful(own: Item) -> Plan:
        try:
            yield [Generate(prompt="x")]
        except UnreadableResponse:
            return {"answered": 0.0}
        return {"answered": 1.0}

    told = run_items(way(careful), ITEMS[:1], {"policy": Scripted(lambda ask: Failure("no"))})
    assert told[0].outcome == {"answered": 0.0}


def test_nobody_to_ask_is_said_before_anything_is_asked() -> None:
    policy = Scripted(both)
    with pytest.raises(ConfigError, match="--judge names a model"):
        run_items(way(two_rounds, roles=frozenset({"policy", "judge"})), ITEMS, {"policy": policy})
    assert not policy.asked
    policy.kinds = frozenset({"speak"})
    with pytest.raises(ConfigError, match="needs log-probabilities"):
        run_items(way(one_round, logprobs=True), ITEMS, {"policy": policy})


def test_an_unannounced_judge_is_an_error() -> None:
    with pytest.raises(ConfigError, match="not among its roles"):
        run_items(way(two_rounds), ITEMS, {"policy": Scripted(both)})


# answers that are kept ------------------------------------------------------------------------------------


def test_a_kill_costs_what_was_not_answered_yet(tmp_path: Path) -> None:
    items = [item(f"n{i}", data=i % 2) for i in range(20)]
    first = Scripted(choosing(lambda ask: 0), dies_after=13)
    with pytest.raises(KeyboardInterrupt):
        run_items(way(one_round), items, {"policy": first}, cache=ResponseCache(tmp_path))
    second = Scripted(choosing(lambda ask: 0))
    told = run_items(way(one_round), items, {"policy": second}, cache=ResponseCache(tmp_path))
    assert len(second.asked) == 7
    unbroken = run_items(way(one_round), items, {"policy": Scripted(choosing(lambda ask: 0))})
    assert [own.to_json() for own in told] == [own.to_json() for own in unbroken]


def test_a_line_that_a_kill_cut_off_is_asked_again(tmp_path: Path) -> None:
    run_items(way(one_round), ITEMS, {"policy": Scripted(choosing(lambda ask: 0))}, cache=ResponseCache(tmp_path))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    again = Scripted(choosing(lambda ask: 0))
    run_items(way(one_round), ITEMS, {"policy": again}, cache=ResponseCache(tmp_path))
    assert len(again.asked) == 1
    third = Scripted(choosing(lambda ask: 0))
    run_items(way(one_round), ITEMS, {"policy": third}, cache=ResponseCache(tmp_path))
    assert not third.asked


def test_a_damaged_line_names_its_place(tmp_path: Path) -> None:
    run_items(way(one_round), ITEMS, {"policy": Scripted(choosing(lambda ask: 0))}, cache=ResponseCache(tmp_path))
    (file,) = tmp_path.iterdir()
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0] + "{not json}\n" + "".join(lines[2:]))
    with pytest.raises(DataError, match=r":2: a damaged answer .* delete this file"):
        run_items(way(one_round), ITEMS, {"policy": Scripted(choosing(lambda ask: 0))}, cache=ResponseCache(tmp_path))


def test_other_weights_are_asked_anew(tmp_path: Path) -> None:
    for name in ("old", "new"):
        policy = Scripted(choosing(lambda ask: 0), name=name)
        run_items(way(one_round), ITEMS, {"policy": policy}, cache=ResponseCache(tmp_path))
        assert len(policy.asked) == 3


@pytest.mark.parametrize(("temperature", "asked"), [(0.0, 0), (1.0, 1)])
def test_another_seed_draws_anew_and_greedy_text_does_not_change(
    tmp_path: Path, temperature: float, asked: int
) -> None:
    def draws(own: Item) -> Plan:
        (said,) = yield [Generate(prompt="x", temperature=temperature)]
        return {"words": float(len(said.text.split()))}

    again = Scripted(saying(lambda ask: "a b"))
    run_items(
        way(draws), ITEMS[:1], {"policy": Scripted(saying(lambda ask: "a b"))}, seed=1, cache=ResponseCache(tmp_path)
    )
    run_items(way(draws), ITEMS[:1], {"policy": again}, seed=2, cache=ResponseCache(tmp_path))
    assert len(again.asked) == asked


def test_what_a_respondent_cannot_do_fails_that_item_alone() -> None:
    policy = Scripted(both)
    policy.kinds = frozenset({"choose"})
    told = run_items(way(two_rounds), ITEMS[:1], {"policy": policy})
    assert told[0].failed == "a reply cannot be asked of this respondent"


# samples of items -----------------------------------------------------------------------------------------


def test_a_sample_draws_from_every_group_before_it_takes_more_of_one_and_blocks_stay_whole() -> None:
    items = [
        Item(id=f"{g}-{b}-{i}", group=f"g{g}", data=0, block=f"b{b}")
        for g in range(5)
        for b in range(6)
        for i in range(4)
    ]
    found = select_items(items, 40, 0)
    blocks = [found[k : k + 4] for k in range(0, 40, 4)]
    assert all(len({(own.group, own.block) for own in block}) == 1 for block in blocks)
    assert {block[0].group for block in blocks[:5]} == {f"g{g}" for g in range(5)}
    assert len({(block[0].group, block[0].block) for block in blocks}) == 10
    assert select_items(items, 60, 0)[:40] == found


def test_a_limit_takes_whole_groups_and_grows() -> None:
    items = [item(f"{g}-{i}", f"g{g}") for g in range(10) for i in range(4)]
    small, large = select_items(items, 8, 0), select_items(items, 20, 0)
    assert len({own.group for own in small}) == 2
    assert [own.id for own in large[:8]] == [own.id for own in small]
    assert {own.group for own in select_items(items, 8, 1)} != {own.group for own in small}
    assert select_items(items, 1000, 0) != items
    assert sorted(own.id for own in select_items(items, 1000, 0)) == sorted(own.id for own in items)
    assert select_items(items, None, 0) == items
    with pytest.raises(ConfigError, match="at least 1"):
        select_items(items, 0, 0)


# measures -------------------------------------------------------------------------------------------------


def test_columns_leave_a_gap_where_an_outcome_lacks_a_name() -> None:
    found = columns_of([{"x": 1, "who": "a", "list": [1]}, {"x": True}, {"who": "b"}])
    assert found.keys() == {"x", "who"}
    assert np.array_equal(found["x"], [1.0, 1.0, np.nan], equal_nan=True)
    assert found["who"].tolist() == ["a", "", "b"]


def test_measures_are_broken_down_and_know_what_is_undefined() -> None:
    measures = (
        Measure(name="accuracy", statistic="correct", by=("category",)),
        Measure(name="spread", statistic=lambda c: float(c["correct"].std()) or float("nan"), unit="score", better=""),
        Measure(name="only y", statistic="correct", mask=lambda c: c["category"] == "y"),
    )
    told = run_items(way(one_round), ITEMS, {"policy": Scripted(choosing(lambda ask: 0))})
    found = {(own.name, own.value): own.estimate for own in measure_results(measures, told)}
    assert found["accuracy", ""] is not None
    assert found["accuracy", ""].value == pytest.approx(2 / 3)
    assert (found["accuracy", ""].n, found["accuracy", ""].clusters) == (3, 2)
    assert found["accuracy", "x"] is not None
    assert found["accuracy", "x"].value == 0.5
    assert found["only y", ""] is not None
    assert (found["only y", ""].value, found["only y", ""].n) == (1.0, 1)
    assert found["spread", ""] is not None
    alone = measure_results(measures[1:2], told[:1])
    assert alone[0].estimate is None


def test_items_are_written_and_read_back(tmp_path: Path) -> None:
    told = run_items(way(one_round), ITEMS, {"policy": Scripted(choosing(lambda ask: 0))})
    path = tmp_path / "deep" / "items.jsonl"
    write_items(path, told)
    lines = list(read_items(path))
    assert lines == json.loads(json.dumps([own.to_json() for own in told]))
    assert lines[0]["rounds"][0][0]["ask"]["options"] == ["a", "b"]
    path.write_text(path.read_text() + "{")
    with pytest.raises(DataError, match=r"items.jsonl:4: not valid JSON"):
        list(read_items(path))


def returning(outcome: Any) -> Variant:
    def plan(item: Item) -> Plan:
        yield [OptionLogprobs(prompt="?", options=("a", "b"))]
        return outcome  # type: ignore[no-any-return]

    return way(plan)


def test_numbers_of_numpy_count_as_numbers() -> None:
    """As columns leave out what is no number of Python's, they would be gone without a word."""
    outcome = {"a": np.float32(0.5), "b": np.bool_(True), "c": np.array(2)}
    (result,) = run_items(returning(outcome), ITEMS[:1], {"policy": Scripted(choosing(lambda ask: 0))})
    assert result.outcome == {"a": 0.5, "b": True, "c": 2}
    assert {name: column.tolist() for name, column in columns_of([result.outcome]).items()} == {
        "a": [0.5],
        "b": [1.0],
        "c": [2.0],
    }


def asking_for_text(item: Item) -> Any:
    yield "a question"


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (returning({"a": np.zeros(2)}), r"expected 'a' to be a number, .* found ndarray of shape \[2\]"),
        (returning([1.0]), "expected a mapping from names, found list"),
        (way(asking_for_text), "expected a list of requests, found str"),
    ],
)
def test_a_plan_that_is_none_is_refused_by_its_item(variant: Variant, message: str) -> None:
    with pytest.raises(ContractError, match=f"the plan of item 'one': {message}"):
        run_items(variant, ITEMS[:1], {"policy": Scripted(choosing(lambda ask: 0))})


def test_numbers_that_json_has_not_are_there_again_when_a_line_is_read(tmp_path: Path) -> None:
    request = OptionLogprobs(prompt="q", options=(" a", " b"))
    rating = ScoreReplies(prompt=Dialogue.of("q"), replies=("a", "b"))
    responses = [OptionScores(logprobs=(-1.0, -math.inf), tokens=(1, 1)), RewardScores((0.5, math.nan))]
    outcome = {"accuracy": math.nan, "mass": math.inf, "share": 0.5, "note": None}
    result = ItemResult(Item(id="7", group="7", data=None), [([request, rating], responses)], outcome)
    write_items(tmp_path / "x.jsonl", [result])
    text = (tmp_path / "x.jsonl").read_text()
    assert "NaN" not in text and "Infinity" not in text
    (line,) = read_items(tmp_path / "x.jsonl")
    chosen, rated = (exchange["answer"] for exchange in line["rounds"][0])
    assert chosen["logprobs"] == [-1.0, -math.inf]
    assert rated["scores"][0] == 0.5 and math.isnan(rated["scores"][1])
    assert math.isnan(line["outcome"]["accuracy"]) and line["outcome"]["share"] == 0.5
    assert line["outcome"]["mass"] == math.inf and line["outcome"]["note"] is None
    assert line.keys() == {"id", "group", "rounds", "outcome"}
    assert np.isnan(columns_of([line["outcome"]])["accuracy"]).all()
    assert sample_of(line, model="m")["id"] == "7"
