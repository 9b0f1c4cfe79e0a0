"""HHH comparisons: four layouts, and what cannot be used."""

from pathlib import Path
from typing import Any

import pytest

from preflab.errors import DataError
from preflab.evals.core.data_source import DataSource
from preflab.evals.suites.preferences.hhh import SUITE
from tests.evals.suites.scripted import Scripted, asked, shelf_of, tell, values

OURS: dict[str, Any] = {
    "id": "1",
    "subset": "honest",
    "prompt": "Is tea hot?",
    "chosen": "Often it is.",
    "rejected": "Never.",
}
HUB = {"input": "Is tea hot?", "targets": {"choices": ["Never.", "Often it is."], "labels": [0, 1]}}
BENCH = {"input": "Is tea hot?", "target_scores": {"Often it is.": 1, "Never.": 0}}
WHOLE = {
    "prompt": "a question with letters",
    "text_correct": "\n\nHuman: Is tea hot?\n\nAssistant: Often it is.",
    "text_incorrect": "\n\nHuman: Is tea hot?\n\nAssistant: Never.",
}


@pytest.mark.parametrize("record", [OURS, HUB, BENCH, WHOLE])
def test_layouts_give_one_comparison(record: dict[str, Any], tmp_path: Path) -> None:
    (item,) = SUITE.load(shelf_of(tmp_path, [record], "hhh")).items
    own = item.data
    assert ([m.text for m in own.prompt.messages], own.better, own.worse) == (
        ["Is tea hot?"],
        "Often it is.",
        "Never.",
    )
    assert own.marks == ({"subset": "honest"} if "subset" in record else {})
    assert item.group == "Is tea hot?" and item.id


def test_turns_inside_a_prompt(tmp_path: Path) -> None:
    prompt = "Hello.\n\nAssistant:  Hi.\n\nHuman:  Is tea hot?"
    (item,) = SUITE.load(shelf_of(tmp_path, [OURS | {"prompt": prompt}], "hhh")).items
    assert [(m.role, m.text) for m in item.data.prompt.messages] == [
        ("user", "Hello."),
        ("assistant", "Hi."),
        ("user", "Is tea hot?"),
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"chosen": "Never."}, "the two replies are the same"),
        ({"rejected": "  "}, "rejected is empty"),
        ({"prompt": " "}, "prompt is empty"),
        ({"prompt": "Hello.\n\nAssistant: Hi."}, "does not end with the user's turn"),
        ({"id": "0"}, "stands in the data twice"),
    ],
)
def test_what_cannot_be_used_is_counted(change: dict[str, Any], why: str, tmp_path: Path) -> None:
    items = SUITE.load(shelf_of(tmp_path, [OURS | {"id": "0", "prompt": "Other?"}, OURS | change], "hhh"))
    assert len(items.items) == 1
    assert [why in reason for reason in items.refused] == [True]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"prompt": "a", "subset": "b"}, "targets"),
        ({"input": "a", "targets": [1, 2]}, "choices and labels"),
        ({"input": "a", "targets": {"choices": ["x", "y"]}}, "a list of 0 and 1"),
        ({"chosen": "x", "rejected": "y"}, "prompt or input"),
    ],
)
def test_what_is_not_of_the_format_ends_the_reading(record: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        SUITE.load(shelf_of(tmp_path, [record], "hhh"))


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], [1, 0, 0]])
def test_one_better_and_one_worse_reply_is_needed(labels: list[int], tmp_path: Path) -> None:
    choices = ["x", "y", "z"][: len(labels)]
    with pytest.raises(DataError, match="not one better and one worse reply"):
        SUITE.load(shelf_of(tmp_path, [{"input": "a", "targets": {"choices": choices, "labels": labels}}], "hhh"))


def test_subsets_and_length(tmp_path: Path) -> None:
    """A judge for the longer: right on item 1, whose better reply is longer, wrong on item 2. So 1/2, like length."""
    records = [OURS, OURS | {"id": "2", "subset": "helpful", "chosen": "Yes.", "rejected": "No, it is never that."}]

    def longest(ask: Any) -> tuple[float, float]:
        first, second = asked(ask).split("(A) ")[1].split("\n\nAnswer")[0].split("\n\n(B) ")
        return (0.8, 0.2) if len(first) > len(second) else (0.2, 0.8)

    found = values(SUITE, tell(SUITE, shelf_of(tmp_path, records, "hhh"), "judge", judge=Scripted(choose=longest)))
    assert found["accuracy"] == 0.5
    assert (found["accuracy [subset=helpful]"], found["accuracy [subset=honest]"]) == (0.0, 1.0)
    assert (found["position consistency"], found["first reply favoured"]) == (1.0, 0.5)
    assert (found["longer reply"], found["lead over length"]) == (0.5, 0.0)
    assert found["over-confidence"] == pytest.approx(0.3)


def test_every_way_runs_on_the_real_file(shared: Path) -> None:
    shelf = DataSource(folder=shared / "data")
    coin = Scripted(choose=lambda a: (0.5, 0.5), speak=lambda _: "(A)", rate=lambda _: (1.0, 0.0))
    for way in SUITE.variants:
        told = tell(SUITE, shelf, way.name, policy=coin, judge=coin, pm=coin)
        assert len(told) == 138 and all(own.outcome is not None for own in told)
    assert len({own.item.group for own in told}) == 63
