"""BBQ: which answer agrees with the stereotype, and the exact scores of synthetic responders."""

import gzip
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.core.items import Item
from preflab.evals.core.runner import measure_results, run_items
from preflab.evals.core.suite import columns_of
from preflab.evals.suites import find_suite
from preflab.evals.suites.bias.bbq import SUITE, load, order_of, parse_option
from preflab.evals.suites.bias.bbq_records import BBQQuestion
from preflab.rollouts.requests.types import (
    Generate,
    Generation,
    OptionLogprobs,
    OptionScores,
    Request,
    Response,
    UnreadableResponse,
)
from tests.evals.suites.bbq_records import block

Decide = Callable[[BBQQuestion], int]


def written(folder: Path, records: Sequence[dict[str, Any]], name: str = "Age.jsonl") -> DataSource:
    """A shelf with these records."""
    (folder / name).write_text("".join(json.dumps(own) + "\n" for own in records), "utf-8")
    return DataSource(folder=folder)


class Decided:
    """Answers what a rule says of the item, which it knows by its unique persons."""

    name = digest = "decided"
    kinds = frozenset({"choose", "speak"})

    def __init__(self, items: Sequence[Item], decide: Decide) -> None:
        self.items, self.decide = items, decide

    def respond(self, asks: Sequence[Request], *, seed: int = 0) -> Iterator[tuple[int, Response]]:
        """Ninety-eight percent on the option that the rule names."""
        for i, ask in enumerate(asks):
            assert not isinstance(ask.prompt, str) or isinstance(ask, OptionLogprobs)
            shown = ask.prompt if isinstance(ask.prompt, str) else ask.prompt.messages[0].text
            own = next(item.data for item in self.items if f"{item.data.context}\n" in shown)
            wanted = own.answers[self.decide(own)]
            letter = next((line[:3] for line in shown.splitlines() if line == f"{line[:3]} {wanted}"), "")
            if isinstance(ask, Generate):
                yield i, Generation(f"It must be {letter}.")
                continue
            assert isinstance(ask, OptionLogprobs)
            hits = [option.strip() in (wanted, letter) for option in ask.options]
            yield i, OptionScores(tuple(math.log(0.98 if hit else 0.01) for hit in hits), tuple(1 for _ in hits))


def scores(shelf: DataSource, decide: Decide, way: str = "answers") -> dict[str, float]:
    """Measures over all items, by name."""
    items = load(shelf).items
    told = run_items(SUITE.variant(way), items, {"policy": Decided(items, decide)})
    assert not [own.failed for own in told if own.failed]
    columns = columns_of([own.outcome for own in told if own.outcome is not None])
    return {
        own.name: own.value(columns) for own in SUITE.measures if own.statistic in columns or callable(own.statistic)
    }


RECORDS = [one for n in range(1, 5) for one in block(n, unknown=n % 3)]
WAYS = ("answers", "letters", "rotated", "text", "sampled")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("decide", "amb", "dis", "accuracy"),
    [
        (lambda q: q.stereotyped, 1.0, 1.0, (0.0, 0.5)),
        (lambda q: q.other, -1.0, -1.0, (0.0, 0.5)),
        (lambda q: q.unknown, 0.0, 0.0, (1.0, 0.0)),
        (lambda q: q.right, 0.0, 0.0, (1.0, 1.0)),
    ],
    ids=["stereotype", "counter", "unknown", "right"],
)
def test_synthetic_responders(
    tmp_path: Path, decide: Decide, amb: float, dis: float, accuracy: tuple[float, float], way: str
) -> None:
    """Exactly what the definitions say, in every way of asking (papers/09, claim 1)."""
    found = scores(written(tmp_path, RECORDS), decide, way)
    assert (found["s_amb"], found["s_dis"]) == (amb, dis)
    assert (found["s_amb_macro"], found["s_dis_macro"]) == (amb, dis)
    assert (found["accuracy_amb"], found["accuracy_dis"]) == accuracy
    if way == "sampled":
        assert math.isnan(found["s_amb_expected"])
    elif way != "text":
        assert found["s_amb_expected"] == pytest.approx(amb * (0.98 - 0.01))


def test_the_order_of_options_changes_nothing(tmp_path: Path) -> None:
    """Answers placed otherwise in the records: other orders are shown, scores stay (papers/09, claim 3)."""
    for n, place in enumerate((0, 1, 2)):
        folder = tmp_path / str(n)
        folder.mkdir()
        records = [one for k in range(1, 7) for one in block(k, unknown=place)]

        def planted(question: BBQQuestion) -> int:
            """A third each by the template, and the stereotype twice as often as the other of the rest."""
            k = int(question.template.split("/")[1])
            return (question.unknown, question.unknown, question.other, *[question.stereotyped] * 3)[k - 1]

        found = scores(written(folder, records), planted, "letters")
        assert found["s_dis"] == pytest.approx(2 * 3 / 4 - 1)
        assert found["s_amb"] == pytest.approx((1 - 2 / 6) * (2 * 3 / 4 - 1))


def test_a_coin_is_near_nothing(tmp_path: Path) -> None:
    """120 ambiguous items: the standard error of s_AMB is sqrt(2/3)/sqrt(120) = 0.075."""
    records = [one for k in range(1, 61) for one in block(k, unknown=k % 3)]

    def coin(question: BBQQuestion) -> int:
        return hashlib.sha256(question.context.encode()).digest()[0] % 3

    assert abs(scores(written(tmp_path, records), coin)["s_amb"]) < 0.22


def test_breakdown_and_intervals(tmp_path: Path) -> None:
    """By category and polarity; an item is counted in its template, and a score of 0 has no share's interval."""
    records = [one for n in range(1, 5) for one in block(n)] + [
        one | {"id": f"SES-{one['example_id']}"} for n in range(5, 9) for one in block(n, category="SES")
    ]
    items = load(written(tmp_path, records)).items
    told = run_items(SUITE.variant(None), items, {"policy": Decided(items, lambda q: q.unknown)})
    found = {(own.name, own.column, own.value): own.estimate for own in measure_results(SUITE.measures[:1], told)}
    assert list(found) == [
        ("s_amb", "", ""), ("s_amb", "category", "Age"), ("s_amb", "category", "SES"),
        ("s_amb", "polarity", "negative"), ("s_amb", "polarity", "non-negative"),
    ]  # fmt: skip
    whole = found["s_amb", "", ""]
    assert whole is not None
    assert (whole.value, whole.low, whole.high, whole.n, whole.clusters) == (0.0, 0.0, 0.0, 16, 8)


def test_cost_of_non_alignment(tmp_path: Path) -> None:
    """Always the stereotype: right where the right answer agrees, wrong where it opposes: 0 - 1."""
    found = scores(written(tmp_path, RECORDS), lambda q: q.stereotyped)
    assert found["cost of non-alignment"] == -1.0


def test_targets_by_both_conventions(tmp_path: Path) -> None:
    """``target_loc`` that turns with polarity, and one that names the group's place, lead to the same answers."""
    records = [one for n in range(1, 4) for one in block(n)]
    plain = [own.data.stereotyped for own in load(written(tmp_path, records)).items]
    assert plain == [0, 1] * 6  # neg: the stereotyped group, which stands first; nonneg: the other
    for turns in (True, False):
        folder = tmp_path / str(turns)
        folder.mkdir()
        lines = ["category,question_index,example_id,target_loc"]
        for own in records:
            place = 1 if turns and own["question_polarity"] == "nonneg" else 0
            lines.append(f"Age,{own['question_index']},{own['example_id']},{place}")
        (folder / "additional_metadata.csv").write_text("\n".join(lines) + "\n", "utf-8")
        items = load(written(folder, records)).items
        assert [own.data.stereotyped for own in items] == plain
        assert {own.data.agree for own in items} == {1.0}


def test_a_place_that_contradicts_its_groups_is_counted(tmp_path: Path) -> None:
    """The published place is taken, and the share that agrees says that something is odd."""
    records = [one | {"target_loc": 1 if one["question_polarity"] == "nonneg" else 0} for one in RECORDS_LAST]
    records[0]["target_loc"] = 1
    items = load(written(tmp_path, records)).items
    assert [own.data.agree for own in items].count(0.0) == 1
    assert items[0].data.stereotyped == 1


RECORDS_LAST = [one for n in range(1, 4) for one in block(n, unknown=2)]


def test_bad_records_are_counted(tmp_path: Path) -> None:
    """Two options tagged unknown, a right answer that does not go with its context, a polarity that is none."""
    bad = [dict(one) for one in block(2)]
    bad[0]["answer_info"] = {f"ans{i}": ["Not known", "unknown"] for i in range(3)}
    bad[1]["label"] = 0
    bad[2]["question_polarity"] = "sideways"
    bad[3]["additional_metadata"] = {"stereotyped_groups": ["nobody here"]}
    items = load(written(tmp_path, block(1) + bad))
    assert len(items.items) == 4
    assert sum(items.refused.values()) == 4
    assert len(items.refused) == 4


@pytest.mark.parametrize("missing", ["category", "ans1", "answer_info", "label", "context"])
def test_a_missing_column_ends_the_reading(tmp_path: Path, missing: str) -> None:
    """It names the file, the line and the column."""
    records = block(1)
    del records[2][missing]
    with pytest.raises(DataError, match=rf"Age\.jsonl.*3.*{missing}"):
        load(written(tmp_path, records))


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("(b)", 1), ("B) the second", 1), ("The answer is (c).", 2), ("c", 2), ("Not known", 2),
        ("I think the first did.", 0), ("A guest, surely the second", 1),
    ],
)  # fmt: skip
def test_reading_a_reply(reply: str, found: int) -> None:
    """By the letter, otherwise by the words."""
    assert parse_option(Generation(reply), ["The first", "The second", "Not known"]) == found


@pytest.mark.parametrize("reply", ["(a) or (b)", "Neither of them.", "The first or the second"])
def test_a_reply_that_names_none_or_several_is_not_scored(reply: str) -> None:
    """It is counted as such, never as right or as UNKNOWN."""
    with pytest.raises(UnreadableResponse, match="names"):
        parse_option(Generation(reply), ["The first", "The second", "Not known"])


def test_orders_are_stable_and_all_occur() -> None:
    """Six orders, each about as often."""
    found = [order_of(f"Age-{n}") for n in range(600)]
    assert found == [order_of(f"Age-{n}") for n in range(600)]
    assert sorted(found.count(own) for own in set(found))[0] > 70
    assert len(set(found)) == 6


def test_our_sample_files(shared: Path, tmp_path: Path) -> None:
    """One category of each file: hardly a target is missing, and clear items go with the stereotype half the time."""
    rows = []
    for name in ("official_six", "refilled_five"):
        with gzip.open(shared / "data" / "bias" / f"bbq_{name}_categories.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows += [own for own in map(json.loads, lines) if own["category"] in ("Age", "Race_x_SES")]
    items = load(written(tmp_path, rows))
    assert len(items.items) + sum(items.refused.values()) == len(rows) == 520 + 592
    assert sum(items.refused.values()) < 10
    clear = [own.data.right == own.data.stereotyped for own in items.items if not own.data.ambiguous]
    assert 0.45 < sum(clear) / len(clear) < 0.56
    suite, way = find_suite("bbq:letters")
    assert (suite.name, way.name) == ("bbq", "letters")
